"""Our errors as MLflow's: an error without one of its codes is a 500, which clients repeat for minutes."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList

from tallystick.ledger.errors import Busy, Conflict, InvalidInput, NotFound, Refused, TallyError

_log = logging.getLogger(__name__)
C = TypeVar("C", bound=type)

_CODES: tuple[tuple[type[TallyError], int], ...] = (
    (NotFound, codes.RESOURCE_DOES_NOT_EXIST),
    (Busy, codes.TEMPORARILY_UNAVAILABLE),
    (Conflict, codes.RESOURCE_CONFLICT),
    (InvalidInput, codes.INVALID_PARAMETER_VALUE),
    (Refused, codes.PERMISSION_DENIED),
)


def fail(words: str, code: int = codes.INVALID_PARAMETER_VALUE) -> NoReturn:
    """Refuse something in words."""
    raise MlflowException(words, error_code=code)


def not_kept(what: str) -> NoReturn:
    """Refuse what the ledger does not record."""
    raise MlflowException(f"A Tallystick ledger does not record {what}.", error_code=codes.NOT_IMPLEMENTED)


def translated(error: TallyError) -> MlflowException:
    """An error of ours with MLflow's code for it."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), codes.BAD_REQUEST)
    return MlflowException(f"{error.message} {error.hint}".strip(), error_code=code)


def in_mlflows_words(cls: C) -> C:
    """Let every public method of a class raise MLflow's errors instead of ours."""
    for name, method in list(vars(cls).items()):
        if inspect.isfunction(method) and (not name.startswith("_") or name in ("_search_runs", "_search_datasets")):
            setattr(cls, name, _wrapped(method))
    return cls


def refusing_the_rest(cls: C) -> C:
    """Answer what MLflow's base class leaves open: lists are empty, and anything else is refused in words.

    The base class raises NotImplementedError, which is a 500 through a server.
    """
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if inspect.isfunction(method) and not name.startswith("_") and method.__module__.startswith("mlflow."):
            setattr(cls, name, _answered(method))
    return cls


def _answered(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except NotImplementedError as error:
            if method.__name__.startswith(("list_", "search_")):
                return PagedList([], None)
            words = f"A Tallystick ledger does not record this ({method.__name__})."
            raise MlflowException(words, error_code=codes.NOT_IMPLEMENTED) from error

    return call


def _wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except TallyError as error:
            raise translated(error) from error
        except OSError as error:
            raise MlflowException(f"The ledger could not be used: {error}.", error_code=codes.BAD_REQUEST) from error
        except MlflowException:
            raise
        except Exception as error:
            # Anything else would be a 500, which clients repeat for minutes although each try fails the same way.
            _log.exception("%s failed", method.__qualname__)
            words = f"The ledger could not answer {method.__name__}: {type(error).__name__}: {error}"
            raise MlflowException(words, error_code=codes.BAD_REQUEST) from error

    return call
