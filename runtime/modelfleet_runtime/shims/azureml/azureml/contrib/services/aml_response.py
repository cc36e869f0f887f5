"""The older name of it."""

from azureml_inference_server_http.api.aml_response import *  # noqa: F403
