Redoc.init("openapi.json", { disableSearch: true, hideDownloadButtons: true }, document.getElementById("redoc"));
