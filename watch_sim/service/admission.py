"""Access control and observation: ASGI middleware around every route of the service."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse
from limits import parse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from watch_sim.service.logs import LOGGER
from watch_sim.service.metrics import Metrics
from watch_sim.service.settings import Settings
from watch_sim.service.work import Life

CONTENT_POLICY = (  # the browser may fetch from this server only
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
CHALLENGES = ('Bearer realm="Wristsleep"', 'Basic realm="Wristsleep"')  # a browser asks for a password: the token
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
OPEN = ("/healthz", "/readyz")  # open to everyone, as they reveal only a status


class Observed:
    """Outermost layer: request id, headers, log line and metrics; an internal error becomes a 500 without details."""

    def __init__(self, app: ASGIApp, metrics: Metrics, life: Life):
        self.app, self.metrics, self.life = app, metrics, life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log and count it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        begun, status = time.perf_counter(), 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        http = scope["type"] == "http"
        self.life.running += http
        self.metrics.running.inc(http)
        try:
            await self.app(scope, receive, observed_send)
        except Exception:
            LOGGER.exception("failed", extra={"about": {"request_id": request_id}})
            if http and not status:
                message = f"internal error; report request id {request_id} to the operator"
                detail = [{"field": "service", "message": message}]
                await JSONResponse({"detail": detail}, 500)(scope, receive, observed_send)
        finally:
            self.life.running -= http
            self.metrics.running.dec(http)
            seconds = time.perf_counter() - begun
            route = route_of(scope)
            method = scope.get("method", "WEBSOCKET")
            method = method if method in ("GET", "POST", "HEAD", "OPTIONS", "WEBSOCKET") else "other"
            self.metrics.requests.labels(method, route, str(status)).inc()
            if http:
                self.metrics.seconds.labels(route).observe(seconds)
            about = {"request_id": request_id, "method": method, "route": route, "status": status}
            LOGGER.info("request", extra={"about": {**about, "milliseconds": round(1000 * seconds, 1)}})


def route_of(scope: MutableMapping[str, Any]) -> str:
    """The route's template, as the path itself may name a night."""
    return getattr(scope.get("route"), "path", "files")


class Admission:
    """Refuses requests while stopping, with another Host name, without a token, or too often."""

    def __init__(self, app: ASGIApp, settings: Settings, life: Life):
        self.app, self.settings, self.life = app, settings, life
        self.rate = parse(settings.rate)
        self.hits: Counter[str] = Counter()  # of each address in this period, which begins with its first request
        self.until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with a refusal."""
        if scope["type"] != "lifespan":
            refused = self.refusal(scope)
            if refused:
                if scope["type"] == "websocket":
                    await WebSocket(scope, receive, send).send_denial_response(refused)
                else:
                    await refused(scope, receive, send)
                return
            scope.setdefault("state", {})["allow"] = lambda: self.allow(scope)
        await self.app(scope, receive, send)

    def allow(self, scope: Scope) -> bool:
        """Count a request from an address; returns whether it is within the rate limit."""
        now, address = time.monotonic(), (scope.get("client") or ("",))[0]
        if now >= self.until:  # all begin anew at once: no request has to look for expired ones among many addresses
            self.hits, self.until = Counter(), now + self.rate.get_expiry()
        self.hits[address] += 1
        return self.hits[address] <= self.rate.amount

    def refusal(self, scope: Scope) -> JSONResponse | None:
        """The refusal of a request, or None."""
        headers = Headers(scope=scope)
        if not serves(headers.get("host", ""), self.settings.hosts):
            return answer(400, "Host", "not a host name of this service")
        if scope["path"] in OPEN:
            return None
        if self.life.stopping:
            return answer(503, "service", "stopping; try again", {"Retry-After": "1", "Connection": "close"})
        if not self.allow(scope):
            return answer(429, "service", f"more than {self.rate} from one address", {"Retry-After": "1"})
        if self.settings.bearers and not authorized(headers.get("authorization", ""), self.settings.bearers):
            refused = answer(401, "Authorization", "expected Bearer and a token of this service")
            for challenge in CHALLENGES:
                refused.headers.append("WWW-Authenticate", challenge)
            return refused
        origin = headers.get("origin")
        foreign = origin and origin.partition("://")[2] != headers.get("host")
        if scope["type"] == "websocket" and foreign and origin not in self.settings.origins:
            return answer(403, "Origin", "pages of that site are not allowed")
        return None


def answer(status: int, field: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal outside any route."""
    return JSONResponse({"detail": [{"field": field, "message": message}]}, status, headers)


def serves(host: str, hosts: Iterable[str]) -> bool:
    """Whether a Host header names one of the hosts; the port is ignored."""
    name = re.sub(r":\d*$", "", host).strip("[]").lower()
    return any(allowed in ("*", name) for allowed in hosts)


def authorized(authorization: str, bearers: Iterable[bytes]) -> bool:
    """Whether a header has one of the tokens: as Bearer, or as the password of Basic, which browsers ask for.

    All tokens are compared, each in constant time.
    """
    scheme, _, credentials = authorization.partition(" ")
    token = credentials.strip()
    if scheme.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return False
    elif scheme.lower() != "bearer":
        return False
    digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
    return sum(hmac.compare_digest(digest, bearer) for bearer in bearers) > 0
