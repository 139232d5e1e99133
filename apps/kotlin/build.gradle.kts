plugins {
    // versions are the app's where this is a module of one: see README.md
    id("com.android.library") version "8.13.0"
    id("org.jetbrains.kotlin.android") version "2.2.20"
}

group = "dev.wristsleep"
version = "1.0.0" // 1 is that of wristsleep-contract

android {
    namespace = "dev.wristsleep"
    compileSdk = 36
    defaultConfig {
        minSdk = 26 // java.time
        consumerProguardFiles("consumer-rules.pro")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    explicitApi()
    jvmToolchain(17)
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:1.4.2")
}
