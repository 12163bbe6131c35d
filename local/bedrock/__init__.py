"""A Bedrock endpoint for one machine: the real protocol, answered by small real models and not by Nova."""

from local.bedrock.endpoint import Endpoint, bedrock_endpoint
from local.bedrock.faults import ConverseFaults, Faults

__all__ = ["ConverseFaults", "Endpoint", "Faults", "bedrock_endpoint"]
