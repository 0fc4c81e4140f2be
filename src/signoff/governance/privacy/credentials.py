"""Credentials that have a recognisable form, as their issuers document it."""

from __future__ import annotations

import re

from signoff.governance.privacy.rules import Rule


def _of(name: str, pattern: str, source: str, *, checked: bool = True) -> Rule:
    return Rule(name, "SECRET", re.compile(pattern), source, checked=checked)


SECRETS: tuple[Rule, ...] = (
    _of("private-key", r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----(?:(?!-----BEGIN )[\s\S]){0,16384}?(?:-----END [A-Z ]{0,24}PRIVATE KEY-----|\Z)", "RFC 7468"),
    _of("jwt", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}", "RFC 7519"),
    _of("aws-access-key", r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])", "AWS IAM: unique identifiers"),
    _of("github-token", r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_\w{22,255})(?!\w)", "GitHub: token formats"),
    _of("slack-token", r"(?<!\w)xox[abeoprs]-[A-Za-z0-9-]{10,250}", "Slack: token types"),
    _of("google-key", r"(?<![\w-])AIza[\w-]{35}(?![\w-])", "Google Cloud: API keys"),
    _of("stripe-key", r"(?<!\w)(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,247}", "Stripe: API keys"),
    _of("model-vendor-key", r"(?<![\w-])sk-(?:ant-|proj-|or-)?[\w-]{20,250}", "OpenAI, Anthropic, OpenRouter"),
    _of("gitlab-token", r"(?<!\w)glpat-[\w-]{20,64}", "GitLab: token prefixes"),
    _of("huggingface-token", r"(?<!\w)hf_[A-Za-z]{34}(?!\w)", "Hugging Face: access tokens"),
    _of("signoff-key", r"(?<!\w)so_[0-9a-f]{16}_[0-9a-f]{64}(?!\w)", "Signoff: API keys"),
    _of("bearer", r"(?i)\bauthorization:\s*(?:bearer|basic)\s+(?P<value>[\w.~+/=-]{8,4096})", "RFC 9110, RFC 6750"),
    _of("url-password", r"(?<=://)[^\s:/@]{1,128}:(?P<value>[^\s:/@]{1,256})(?=@)", "RFC 3986, section 3.2.1"),
    _of("password", r"(?i)\b(?:password|passwd|pwd|passphrase|api[_ -]?key|secret[_ -]?key|access[_ -]?token)\s*(?:[:=]|\bis\b)\s*[\"']?(?P<value>(?=[^\s\"']{0,255}[\d_!@#$%^&*-])[^\s\"',;]{6,256})", "words that say so", checked=False),
)  # fmt: skip
