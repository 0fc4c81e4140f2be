"""The gateway as OpenAI's and Anthropic's SDKs know it: replace a base URL, keep the program."""
