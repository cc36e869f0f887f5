"""The steps that `inference.py` may leave out."""

from typing import Any

from . import decoder, encoder, errors, utils


class DefaultInferenceHandler:
    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        raise NotImplementedError(_please("model_fn"))

    def default_input_fn(self, input_data: Any, content_type: Any, context: Any = None) -> Any:
        return decoder.decode(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        raise NotImplementedError(_please("predict_fn"))

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                return encoder.encode(prediction, content_type), content_type
        raise errors.UnsupportedFormatError(accept)


def _please(name: str) -> str:
    return (
        f"\nPlease provide a {name} implementation.\n"
        f"See documentation for {name} at https://sagemaker.readthedocs.io/en/stable/\n"
    )
