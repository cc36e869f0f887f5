"""What was a revision frozen to serve?"""

from pydantic import ValidationError

from modelfleet_contract import DOCUMENT_ENV, ServeDocument
from modelfleet_operator.seen import Json


def document_of(template: Json) -> ServeDocument | None:
    """The document in such pods; None where it is another's, or a later version's."""
    for container in template["spec"]["containers"]:
        for variable in container.get("env", ()):
            if variable["name"] == DOCUMENT_ENV:
                try:
                    return ServeDocument.from_json(variable.get("value", "").replace("$$", "$"))
                except ValidationError:
                    return None
    return None
