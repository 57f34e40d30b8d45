"""The exceptions of calls, by LiteLLM's names.

The class comes from the upstream's status and from the codes in its reply, never from the words of a
message. No message has a key or a prompt.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple, Type


class APIError(Exception):
    """A failed call; the class of all others."""

    #: The HTTP status if the upstream did not answer with one.
    default_status = 500

    def __init__(
        self,
        message: str,
        llm_provider: Optional[str] = None,
        model: Optional[str] = None,
        *,
        status_code: Optional[int] = None,
        code: Optional[str] = None,
        param: Optional[str] = None,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        #: What failed.
        self.message = message
        #: The provider, such as ``together_ai``.
        self.llm_provider = llm_provider
        #: The model's name at the provider.
        self.model = model
        #: The upstream's HTTP status, or that of the class.
        self.status_code: int = self.default_status if status_code is None else status_code
        #: The upstream's code, such as ``invalid_api_key``.
        self.code = code
        #: The parameter that caused the error.
        self.param = param
        #: The wait in seconds that the upstream requests before a retry.
        self.retry_after = retry_after
        #: The upstream's id of the request.
        self.request_id = request_id

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_restore, (type(self), self.message, self.__dict__.copy()))


def _restore(kind: Type[APIError], message: str, members: Dict[str, Any]) -> APIError:
    error = kind(message)
    error.__dict__.update(members)
    return error


class APIConnectionError(APIError):
    """The connection failed, or broke within a reply."""


class APIResponseValidationError(APIError):
    """The upstream sent a reply that cannot be read."""


class AuthenticationError(APIError):
    """There is no key, or the upstream rejected it."""

    default_status = 401


class PermissionDeniedError(APIError):
    """The key lacks the permission."""

    default_status = 403


class NotFoundError(APIError):
    """The upstream does not know the model."""

    default_status = 404


class Timeout(APIError):
    """A time limit passed."""

    default_status = 408


class RateLimitError(APIError):
    """Too many requests or tokens."""

    default_status = 429


class InternalServerError(APIError):
    """The upstream failed."""

    default_status = 500


class BadGatewayError(APIError):
    """A gateway before the upstream failed."""

    default_status = 502


class ServiceUnavailableError(APIError):
    """The upstream has no capacity at present."""

    default_status = 503


class BadRequestError(APIError):
    """The request is invalid; a retry cannot succeed."""

    default_status = 400


class ContextWindowExceededError(BadRequestError):
    """The prompt, or the prompt and the reply, are too long for the model."""


class ContentPolicyViolationError(BadRequestError):
    """A filter rejected the prompt or the reply."""


class UnsupportedParamsError(BadRequestError):
    """The provider does not support a parameter; ``drop_params=True`` leaves it out."""


class UnprocessableEntityError(BadRequestError):
    """The model failed with this request, or the upstream rejected a value in it."""

    default_status = 422


class LiteLLMUnknownProvider(BadRequestError):
    """The model's name does not start with a provider."""


#: The older name in LiteLLM.
InvalidRequestError = BadRequestError
#: OpenAI's name of :class:`Timeout`.
APITimeoutError = Timeout
#: OpenAI's name of the class of all errors.
OpenAIError = APIError
