"""HubSpot's refusals, with the bodies that its clients parse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from providers.record import JSON


class ApiError(Exception):
    """An answer that is no 2xx. `members` are those of its body, less the correlation id."""

    def __init__(self, status: int, message: str, category: str, **members: JSON) -> None:
        super().__init__(message)
        self.status = status
        self.members: dict[str, JSON] = {
            "status": "error",
            "message": message,
            "category": category,
            **members,
        }


def invalid(message: str, **members: JSON) -> ApiError:
    return ApiError(400, message, "VALIDATION_ERROR", **members)


def not_found(message: str = "resource not found") -> ApiError:
    return ApiError(404, message, "OBJECT_NOT_FOUND")


def unauthorized() -> ApiError:
    return ApiError(
        401,
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and "
        "you can find more details at https://developers.hubspot.com/docs/methods/auth/"
        "oauth-overview",
        "INVALID_AUTHENTICATION",
    )


def missing_scopes(scopes: Sequence[str]) -> ApiError:
    """403, with the scopes that the token would need."""
    return ApiError(
        403,
        "This app hasn't been granted all required scopes to make this call. Read more about "
        "required scopes here: https://developers.hubspot.com/scopes.",
        "MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": [*scopes]},
            }
        ],
        links={"scopes": "https://developers.hubspot.com/scopes"},
    )


def conflict(existing: str) -> ApiError:
    return ApiError(409, f"Contact already exists. Existing ID: {existing}", "CONFLICT")


def over_limit(policy: str, app: int) -> ApiError:
    """429 of a policy, with the sentence that HubSpot's own clients look for."""
    sentences = {
        "TEN_SECONDLY_ROLLING": "You have reached your ten_secondly_rolling limit.",
        "SECONDLY": "You have reached your secondly limit.",
        "DAILY": "You have reached your daily limit.",
    }
    return ApiError(
        429,
        sentences[policy],
        "RATE_LIMITS",
        errorType="RATE_LIMIT",
        policyName=policy,
        groupName=f"publicapi:private-apps:api-calls:{app}",
    )


def wrong_values(problems: Sequence[Mapping[str, JSON]]) -> ApiError:
    """Property values that were refused; each problem has `message`, `error`, `name`."""
    listed = orjson.dumps([{"isValid": False, **problem} for problem in problems]).decode()
    return invalid(
        f"Property values were not valid: {listed}",
        errors=[
            {
                "message": problem["message"],
                "code": problem["error"],
                "context": {"propertyName": [problem["name"]]},
            }
            for problem in problems
        ],
    )
