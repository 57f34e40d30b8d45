"""A router: model groups over several deployments, as in LiteLLM."""

from __future__ import annotations

from . import _native
from ._calls import Calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Mapping, Optional


class Router(Calls):
    """Calls deployments by the names of their model groups.

    ``model_list`` is LiteLLM's: each entry has ``model_name`` and ``litellm_params``. ``settings``
    are those of ``router_settings`` in a ``config.yaml``, such as ``routing_strategy``,
    ``num_retries``, ``fallbacks``, ``allowed_fails``, ``cooldown_time`` and ``timeout``.

    All errors in them are reported in one ``ValueError``. A setting of LiteLLM without effect here
    is a warning.
    """

    __slots__ = ("model_list",)

    def __init__(
        self,
        model_list: Optional[Iterable[Mapping[str, Any]]] = None,
        *,
        drop_params: bool = False,
        set_verbose: bool = False,
        **settings: Any,
    ) -> None:
        if set_verbose:
            import polyllm

            polyllm.set_verbose = True
        #: The entries, as they were given.
        self.model_list: List[Mapping[str, Any]] = list(model_list or ())
        given = {name: value for name, value in settings.items() if value is not None}
        config: Dict[str, Any] = {"model_list": self.model_list}
        if given:
            config["router_settings"] = given
        if drop_params:
            config["litellm_settings"] = {"drop_params": True}
        super().__init__(_native.Router(config))

    def get_model_names(self) -> List[str]:
        """The names of the model groups."""
        assert self._router is not None
        return self._router.models()
