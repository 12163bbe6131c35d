"""A Bedrock endpoint for one machine: the real protocol, small real models, nothing of Nova."""

from local.bedrock.endpoint import Endpoint, bedrock_endpoint
from local.bedrock.faults import ConverseFaults, Faults

__all__ = ["ConverseFaults", "Endpoint", "Faults", "bedrock_endpoint"]
