"""The same pipeline on one machine: an AWS emulator, a Bedrock endpoint with small models, and a demo."""
