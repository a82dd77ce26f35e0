"""Turn what goes wrong into HTTP answers that say why, so that the server lives on and its user knows what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import HTTPException
from filelock import Timeout
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from ..io.causes import first_cause
from ..release.faults import FAULTS, explain, find_fault


class ConflictError(ValueError):
    """The request is fine, but not in the present state of the datastore; the message says what to do first."""


class UnknownImageError(ValueError):
    """There is no image of this id."""


_STATUS: dict[type[Exception], HTTPStatus] = {
    UnknownImageError: HTTPStatus.NOT_FOUND,
    ImageNotFoundException: HTTPStatus.NOT_FOUND,
    LabelNotFoundException: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    Timeout: HTTPStatus.CONFLICT,
    ValueError: HTTPStatus.UNPROCESSABLE_ENTITY,  # of cases, files, datasets, checkpoints, manifests and parameters
}
_FAULT_STATUS = {
    errno.EROFS: HTTPStatus.FORBIDDEN,
    errno.EACCES: HTTPStatus.FORBIDDEN,
    errno.EPERM: HTTPStatus.FORBIDDEN,
    errno.ENOSPC: HTTPStatus.INSUFFICIENT_STORAGE,
    errno.EDQUOT: HTTPStatus.INSUFFICIENT_STORAGE,
}


def _answer(error: Exception) -> HTTPException | None:
    cause = first_cause(error)
    fault = find_fault(cause)
    if isinstance(fault, OSError) and fault.errno in _FAULT_STATUS:
        return HTTPException(_FAULT_STATUS[fault.errno], explain(fault))
    for kind, status in _STATUS.items():
        if isinstance(cause, kind):
            busy = "another request is protecting into the same folder; try again later"
            reason = busy if kind is Timeout else getattr(cause, "msg", None) or str(cause)
            return HTTPException(status, reason)
    return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, explain(cause)) if isinstance(cause, FAULTS) else None


@contextmanager
def http_errors() -> Iterator[None]:
    """Raise an `HTTPException` with reason and cure for everything that a user can cause; bugs pass as they are.

    404: unknown image or label. 409: no label, no fit, busy. 422: files or parameters that cannot be used. 403: no
    right to write, or a read-only disk. 507: a full one. 503: other faults of the machine.
    """
    try:
        yield
    except HTTPException:
        raise
    except Exception as error:
        answer = _answer(error)
        if answer is None:
            raise
        raise answer from error
