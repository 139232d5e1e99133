"""The WebSocket /live: samples in, epochs out; each answer has the night's token, to resume after a disconnect."""

import asyncio

from fastapi import HTTPException, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from pipeline.errors import UserMistake
from watch_sim.service.desk import LIVE, Desk, checked
from watch_sim.service.refusals import refusal, unprocessable
from watch_sim.service.requests import LiveMessage, LiveStep

IDLE_S = 300  # after which a silent client is disconnected; its token stays valid
TOO_LARGE, GOING_AWAY, SILENT = 1009, 1001, 1008  # close codes of RFC 6455
MOST_SOCKETS = 1000


async def converse(socket: WebSocket, desk: Desk) -> None:
    """Answer messages until the client disconnects: LiveMessage in, LiveStaged out.

    A refused message is answered with {"status", "detail"} and changes nothing.

    Args:
        socket: The socket, not accepted yet.
        desk: The app's desk.
    """
    if desk.sockets >= MOST_SOCKETS:
        await socket.close(GOING_AWAY)
        return
    desk.sockets += 1
    token = None
    try:
        await socket.accept()
        while True:
            text = await asyncio.wait_for(socket.receive_text(), IDLE_S)
            try:
                answer = await answer_message(socket, desk, text, token)
                token = answer["token"]
            except HTTPException as refused:
                answer = {"status": refused.status_code, "detail": refused.detail}
            except UserMistake as mistake:  # files may change under a running service
                answer = {"status": 409, "detail": [{"field": "service", "message": mistake.message}]}
            await socket.send_text(desk.json(answer).body.decode())
    except (WebSocketDisconnect, KeyError):  # KeyError: a binary message
        pass
    except TimeoutError:
        await socket.close(SILENT)
    finally:
        desk.sockets -= 1
        if socket.client_state == WebSocketState.CONNECTED == socket.application_state:
            await socket.close(SILENT)


async def answer_message(socket: WebSocket, desk: Desk, text: str, token: str | None) -> dict:
    """The answer to one message, which continues from `token` unless the message has a token or opens a night."""
    if not socket.state.allow():
        raise refusal(429, "service", "too many messages from one address")
    body = text.encode(errors="surrogatepass")
    LIVE.check(body)

    def read(body: bytes) -> LiveStep:
        message = checked(LiveMessage, body)
        begun = message.token if message.token is not None or message.open is not None else token
        if begun is None and message.open is None:
            raise unprocessable("body", "the first message needs either open, which begins a night, or a token")
        if message.token is not None and message.open is not None:
            raise unprocessable("body", "give either open or a token")
        fed = {"samples": message.samples, "now": message.now}
        return LiveStep.model_construct(token=begun, open=message.open, **fed)

    return await desk.stage(body, read)
