from typing import Any, Dict, List, Literal, Optional, Tuple, final

__all__ = [
    "Decoder",
    "Results",
    "Router",
    "Stream",
    "Task",
    "Template",
    "call",
    "encode",
    "encode_comment",
    "families",
    "join",
    "register_template",
    "shutdown",
    "start",
]

@final
class Router:
    def __new__(cls, config: Dict[str, Any]) -> Router: ...
    def models(self) -> List[str]: ...

@final
class Stream:
    @property
    def facts(self) -> Dict[str, Any]: ...
    def next(self) -> Any: ...
    def start_next(self, results: Results, future: Any) -> Optional[Task]: ...
    def close(self) -> None: ...

@final
class Results:
    def __new__(cls) -> Results: ...
    def deliver(self) -> None: ...

@final
class Task:
    def cancel(self) -> None: ...

@final
class Template:
    @staticmethod
    def family(name: str) -> Template: ...
    @staticmethod
    def of_model(model: str) -> Optional[Template]: ...
    @staticmethod
    def custom(**keys: Any) -> Template: ...
    @staticmethod
    def jinja(
        source: Optional[str] = None,
        *,
        tokenizer_config: Any = None,
        name: str = "template",
    ) -> Template: ...
    def render(
        self,
        messages: Any,
        *,
        bos: bool = False,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        control_tokens: str = "neutralise",
        strictness: str = "strict",
        thinking: Optional[bool] = None,
        now: Any = None,
        tools: Any = None,
        **variables: Any,
    ) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def stop(self) -> List[str]: ...

_Kind = Literal["comment", "empty", "incomplete", "message"]
_Fields = Tuple[_Kind, str, str, str, Optional[int]]

@final
class Decoder:
    def __new__(
        cls,
        *,
        comments: bool = False,
        empty_events: bool = False,
        max_line: Optional[int] = None,
        max_event: Optional[int] = None,
    ) -> Decoder: ...
    def feed(self, read: bytes) -> Tuple[List[_Fields], Optional[str]]: ...
    def finish(self) -> Optional[_Fields]: ...
    @property
    def last_event_id(self) -> str: ...
    @property
    def retry(self) -> Optional[int]: ...

def call(
    path: str,
    model: str,
    content: Dict[str, Any],
    given: Dict[str, Any],
    router: Optional[Router] = None,
) -> Any: ...
def start(
    results: Results,
    future: Any,
    path: str,
    model: str,
    content: Dict[str, Any],
    given: Dict[str, Any],
    router: Optional[Router] = None,
) -> Task: ...
def encode(
    data: str,
    *,
    event: Optional[str] = None,
    id: Optional[str] = None,
    retry: Optional[int] = None,
) -> bytes: ...
def encode_comment(text: str) -> bytes: ...
def families() -> List[str]: ...
def register_template(model: str, template: Template) -> None: ...
def join(chunks: Any) -> Any: ...
def shutdown() -> None: ...
