"""The messages of a chat: those that a client sends, and those that a generate node asks its model with."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llmpipeline_serve.contract.graph import ROLES, MessageSettings
from llmpipeline_serve.errors import invalid
from llmpipeline_serve.templates import Compiled, expression, template

# Of one conversation: nobody has a longer one, and a template of a model goes through all of them.
MOST_MESSAGES: Final = 1000

Message = dict[str, str]

# What OpenAI calls a system message for its newer models.
_OTHER_NAMES: Final = {"developer": "system"}
_OF_REQUEST: Final = re.compile(r"\s*request\.([\w.]+)\s*")


def conversation(given: Any, at: str) -> list[Message]:
    """The messages of a client, each with its role and its text; `at` is how errors call them.

    Raises:
        ApiError: They are not messages of a chat.
    """
    if not isinstance(given, list):
        raise invalid(f"{at}: must be a list of messages, not {_kind(given)}", at)
    if len(given) > MOST_MESSAGES:
        raise invalid(f"{at}: has {len(given)} messages; at most {MOST_MESSAGES} are taken", at)
    return [_message(item, f"{at}.{index}") for index, item in enumerate(given)]


def _message(given: Any, at: str) -> Message:
    if not isinstance(given, Mapping):
        raise invalid(f"{at}: must be an object with role and content, not {_kind(given)}", at)
    role = given.get("role")
    role = _OTHER_NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        raise invalid(f"{at}.role: must be one of {', '.join(ROLES)}", f"{at}.role")
    return {"role": role, "content": _text(given.get("content"), f"{at}.content")}


def _text(content: Any, at: str) -> str:
    """The text of a message, which may come in parts."""
    if isinstance(content, list):
        return "".join(_part(part, f"{at}.{index}") for index, part in enumerate(content))
    if not isinstance(content, str):
        raise invalid(f"{at}: must be a string, or a list of parts of type text, not {_kind(content)}", at)
    if "\0" in content:
        raise invalid(f"{at}: must not hold a NUL character", at)
    return content


def _part(part: Any, at: str) -> str:
    if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise invalid(f'{at}: must be {{"type": "text", "text": ...}}; images and sound are not taken', at)
    return _text(part["text"], f"{at}.text")


def _kind(value: Any) -> str:
    return "null" if value is None else {"dict": "an object", "list": "a list"}.get(type(value).__name__, "this")


class Messages:
    """The declared messages of a generate node, ready to be filled in any number of times."""

    def __init__(self, declared: Sequence[MessageSettings]) -> None:
        self._makers = [_maker(message) for message in declared]

    def __call__(self, values: Mapping[str, Any]) -> list[Message]:
        """The messages, of which there is at least one.

        Raises:
            ApiError: A conversation of the client is none.
            TemplateError: A template fails.
        """
        made = [message for make in self._makers for message in make(values)]
        if not made:
            raise invalid("messages: there is no message", "messages")
        return made


def _maker(declared: MessageSettings) -> Callable[[Mapping[str, Any]], list[Message]]:
    if declared.conversation is not None:
        given, at = expression(declared.conversation), _place(declared.conversation)
        return lambda values: conversation(_listed(given, values), at)
    role, content = declared.role or "user", template(declared.content or "")
    return lambda values: [{"role": role, "content": content(values)}]


def _listed(given: Compiled, values: Mapping[str, Any]) -> Any:
    found = given(values)
    return list(found) if isinstance(found, tuple) else found


def _place(source: str) -> str:
    """How errors call a conversation: by the field of the request that it is."""
    found = _OF_REQUEST.fullmatch(source)
    return found[1] if found else "conversation"


def last_user_text(messages: Sequence[Message]) -> str:
    """What the user said last.

    Raises:
        ApiError: No message is the user's.
    """
    for message in reversed(messages):
        if message["role"] == "user":
            return message["content"]
    raise invalid("messages: one must have the role user", "messages")
