"""Refusals that the service answers with, each in the form that pydantic's errors have: field and message."""

from fastapi import HTTPException


def refusal(status: int, field: str, message: str, **headers: str) -> HTTPException:
    """An HTTP status with what is wrong; headers by their names, underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPException(status, [{"field": field, "message": message}], named or None)


def unprocessable(field: str, message: str) -> HTTPException:
    """HTTP 422 for a body whose field does not fit the run."""
    return refusal(422, field, message)


def busy(message: str) -> HTTPException:
    """HTTP 503 that asks to try again."""
    return refusal(503, "service", message, Retry_After="1")


def too_large(message: str) -> HTTPException:
    """HTTP 413; what is left of the body is not read."""
    return refusal(413, "body", message, Connection="close")
