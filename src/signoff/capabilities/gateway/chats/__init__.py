"""Chats through the gateway: one call, its candidates and tries, whole or streamed."""
