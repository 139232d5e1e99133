"""The service's error responses, in the form of pydantic's errors: field and message."""

from fastapi import HTTPException


def refusal(status: int, field: str, message: str, **headers: str) -> HTTPException:
    """An HTTP error with field and message; headers by name, with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPException(status, [{"field": field, "message": message}], named or None)


def unprocessable(field: str, message: str) -> HTTPException:
    """HTTP 422: a field of the body is invalid for this run."""
    return refusal(422, field, message)


def busy(message: str) -> HTTPException:
    """HTTP 503 with Retry-After."""
    return refusal(503, "service", message, Retry_After="1")


def too_large(message: str) -> HTTPException:
    """HTTP 413; the rest of the body is not read."""
    return refusal(413, "body", message, Connection="close")
