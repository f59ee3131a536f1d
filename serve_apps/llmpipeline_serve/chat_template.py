"""From the messages of a chat to the tokens that a model gets, by its own chat template."""

from typing import Any

from jinja2 import TemplateError

from llmpipeline_serve.errors import invalid


def check_chat_template(tokenizer: Any, model: str) -> None:
    """Check that a model takes messages.

    Raises:
        ValueError: It has no chat template.
    """
    try:
        tokenizer.get_chat_template()
    except AttributeError:  # Mistral's own tokenizer, which makes prompts without a template
        return
    except ValueError as error:
        raise ValueError(
            f"the model {model} has no chat template: give generate.prompt instead of generate.messages, or use a "
            "model that is tuned for chats"
        ) from error


def chat_tokens(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """The tokens of the messages, and of what begins the assistant's answer.

    A control token that a message spells, like the end of a turn, stays text: a user cannot speak as somebody else.

    Raises:
        ApiError: The template does not take them. Many take only user and assistant in turns, or no system message.
    """
    try:
        tokens = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=False, sanitize_control_tokens=True
        )
    except (TemplateError, ValueError) as error:
        raise invalid(f"messages: the model's chat template does not take them: {error}", "messages") from error
    return list(tokens)
