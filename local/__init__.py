"""The same pipeline on one machine: an embedded AWS, a Bedrock endpoint with small models, and a demo."""
