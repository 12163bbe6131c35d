"""The CDK stacks: what is deployed, and what each part may do."""
