"""An AWS inside this process, into which the synthesised templates are deployed unchanged."""
