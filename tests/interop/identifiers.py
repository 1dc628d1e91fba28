"""Answers, line by line, what python-stdnum thinks of Romanian identifiers and IBANs.

Input lines are `check KIND VALUE` (value may hold blanks) and `make KIND SEED`; the answer to the first
is `1 NORMALIZED` or `0 ERROR`, to the second a value that python-stdnum holds to be valid.
"""

import random
import sys

from stdnum import iban, numdb
from stdnum.exceptions import ValidationError
from stdnum.ro import cnp, cui

COUNTIES = [f"{n:02}" for n in [*range(1, 49), 51, 52, 70, 80, 81, 82, 83]]
KINDS = {
    "cui": cui.validate,
    "cnp": cnp.validate,
    # Without the checks that some countries add inside their account numbers.
    "iban": lambda number: iban.validate(number, check_country=False),
}


def check(kind, value):
    try:
        return f"1 {KINDS[kind](value)}"
    except ValidationError as error:
        return f"0 {type(error).__name__}"


def make_cui(chance):
    body = str(chance.randrange(1, 10 ** chance.randrange(1, 10)))
    return body + cui.calc_check_digit(body)


def make_cnp(chance):
    body = "{}{:02}{:02}{:02}{}{:03}".format(
        chance.randrange(1, 10),
        chance.randrange(1, 99),
        chance.randrange(1, 13),
        chance.randrange(1, 29),
        chance.choice(COUNTIES),
        chance.randrange(1, 1000),
    )
    # The first digits 5 and 6 are this century, which is not over.
    if body[0] in "56":
        body = body[0] + f"{chance.randrange(0, 26):02}" + body[3:]
    return body + cnp.calc_check_digit(body)


def make_iban(chance):
    database = numdb.get("iban")
    country = chance.choice([prefix[1] for prefix in database.prefixes])
    structure = database.info(country + "00")[0][1]["bban"]
    alphabets = {
        "n": "0123456789",
        "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "c": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    }
    account = ""
    for part in structure.replace("!", "").replace("n", "n ").replace("a", "a ").replace("c", "c ").split():
        account += "".join(chance.choice(alphabets[part[-1]]) for _ in range(int(part[:-1])))
    return country + iban.calc_check_digits(country + "00" + account) + account


MAKERS = {"cui": make_cui, "cnp": make_cnp, "iban": make_iban}


def main():
    for line in sys.stdin:
        verb, kind, rest = line.rstrip("\n").split(" ", 2)
        if verb == "check":
            print(check(kind, rest))
        else:
            print(MAKERS[kind](random.Random(int(rest))))


if __name__ == "__main__":
    main()
