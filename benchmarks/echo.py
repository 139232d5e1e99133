"""A service that gives JSON bodies back: what HTTP alone costs, beside benchmarks.service."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/echo")
async def echo(body: dict) -> dict:
    """The body."""
    return body
