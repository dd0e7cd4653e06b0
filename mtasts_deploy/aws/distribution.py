"""One CloudFront distribution: its edges are told to forget paths, and asked whether they have. Everything raises `AwsError`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mtasts_deploy.aws.client import client
from mtasts_deploy.aws.trouble import trouble_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution by its id."""

    id: str

    def invalidate(self, paths: Sequence[str]) -> str:
        """Begin to invalidate these paths, each with a slash in front, `*` at the end of one for all that follow; the invalidation's id."""
        batch = {"Paths": {"Quantity": len(paths), "Items": list(paths)}, "CallerReference": f"mtasts-deploy-{secrets.token_hex(12)}"}
        try:
            answer = self._client.create_invalidation(DistributionId=self.id, InvalidationBatch=batch)
        except Exception as error:
            raise trouble_of(error) from error
        return str(answer["Invalidation"]["Id"])

    def invalidated(self, invalidation: str) -> bool:
        """Have all edges done it?"""
        try:
            answer = self._client.get_invalidation(DistributionId=self.id, Id=invalidation)
        except Exception as error:
            raise trouble_of(error) from error
        return str(answer["Invalidation"]["Status"]).lower() == "completed"

    @property
    def _client(self) -> Any:
        try:
            return client("cloudfront", region="us-east-1", endpoint_url=None, attempts=5)
        except Exception as error:
            raise trouble_of(error) from error
