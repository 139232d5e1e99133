package android.content.pm

class ServiceInfo {
    companion object {
        const val FOREGROUND_SERVICE_TYPE_HEALTH = 256
    }
}
