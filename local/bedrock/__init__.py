"""A Bedrock endpoint for one machine: the real protocol, answered by small real models and not by Nova."""

from local.bedrock.endpoint import Endpoint, bedrock_endpoint
from local.bedrock.faults import ConverseFaults, Faults
from local.bedrock.vlm import Vlm, vlm_from_environment

__all__ = ["ConverseFaults", "Endpoint", "Faults", "Vlm", "bedrock_endpoint", "vlm_from_environment"]
