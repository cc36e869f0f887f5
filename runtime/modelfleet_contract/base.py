"""How every shared type behaves: camelCase outside, snake_case inside, frozen, nothing unknown."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Shared(BaseModel):
    """Base of everything that is written as JSON or YAML by a person or by the other half."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
