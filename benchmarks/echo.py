"""A service that returns JSON bodies: the cost of HTTP alone, for comparison in benchmarks.service."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/echo")
async def echo(body: dict) -> dict:
    """Return the body."""
    return body
