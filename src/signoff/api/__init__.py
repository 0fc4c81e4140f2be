"""The REST API: parse, authorise, call one function, serialise."""

from signoff.api.app import create_app
from signoff.api.server import ApiServer

__all__ = ["ApiServer", "create_app"]
