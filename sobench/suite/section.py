"""The base of every section of a suite file, and the texts that a section may hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from sobench.text import is_printable
from sobench.yaml_text import shown

LONGEST_PATH = 4096
"""Characters that Linux allows a path."""


def _one_line(text: str) -> str:
    if not is_printable(text):
        raise PydanticCustomError("unprintable", "control characters")
    return text


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(_one_line)
]
"""A text that people read, on one line and without control characters."""

Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_one_line),
]
"""A name in a table."""

FilePath = Annotated[str, StringConstraints(max_length=LONGEST_PATH), AfterValidator(_one_line)]
"""A file or folder, as it is written."""


class Section(BaseModel):
    """A part of a suite: immutable, and strict about its keys.

    Under every field of a section stands a docstring with its meaning, its unit and the effect of
    its default; ``report/keys.py`` makes the reference of all keys from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_values(cls, content: Any) -> Any:
        """Refuse ``true`` for a number, which pydantic would take as 1."""
        for key, value in content.items() if isinstance(content, dict) else ():
            values = value if isinstance(value, list | tuple) else [value]
            field = cls.model_fields.get(key)
            is_switch = field is not None and field.annotation is bool
            if not is_switch and any(isinstance(item, bool) for item in values):
                raise ValueError(
                    f"{key}: {shown(value)} is wrong; true and false have no place here"
                )
        return content
