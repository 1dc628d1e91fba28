"""Validates an OpenAPI document from standard input with a validator that is not ours."""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator


def main() -> int:
    document = json.load(sys.stdin)
    if not str(document.get("openapi", "")).startswith("3.1."):
        print(f"openapi is {document.get('openapi')!r}, not 3.1", file=sys.stderr)
        return 1
    errors = list(OpenAPIV31SpecValidator(document).iter_errors())
    for error in errors:
        print(f"{error.json_path}: {error.message}", file=sys.stderr)
    if not document.get("paths"):
        print("the document has no paths", file=sys.stderr)
        return 1
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
