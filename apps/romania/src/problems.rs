//! [pure] The sorts of problem that the Romanian services answer, beside the platform's own.

use taraf_service::problem::Kind;

/// The code is not a valid fiscal code, so that no company can have it.
pub const INVALID_CIF: Kind = Kind {
    code: "invalid_cif",
    status: 404,
    title: "Not a fiscal code",
    meaning: "The code in the path is not a valid fiscal code (CUI or CIF).",
    help: "Check the digits; /validate/cif says what is wrong.",
};

/// The trade register's open data have no firm with that code.
pub const NOT_REGISTERED: Kind = Kind {
    code: "not_in_register",
    status: 404,
    title: "Not in the trade register",
    meaning: "The open data of the trade register that were imported have no firm with this code.",
    help: "Ask /companies/{cif}, which asks the tax office; persons in business are left out.",
};

/// Nothing was imported.
pub const NO_REGISTER: Kind = Kind {
    code: "no_register",
    status: 503,
    title: "No trade register",
    meaning: "This service runs without the open data of the trade register.",
    help: "Let the operator import them: taraf service companies import --from DIR.",
};

/// The imported file is damaged.
pub const REGISTER_UNREADABLE: Kind = Kind {
    code: "register_unreadable",
    status: 503,
    title: "Trade register not readable",
    meaning: "The file of the imported trade register cannot be read.",
    help: "Let the operator import it again; the trace says what is wrong.",
};

/// No balance of that company for that year.
pub const NO_BALANCE: Kind = Kind {
    code: "balance_not_found",
    status: 404,
    title: "No balance",
    meaning: "The tax office publishes no balance of this company for this year.",
    help: "Ask for another year; the list of balances names those that exist.",
};

/// No fixing on or near that day.
pub const NO_FIXING: Kind = Kind {
    code: "fixing_not_found",
    status: 404,
    title: "No fixing",
    meaning: "No fixing of the National Bank is known on that day or shortly before.",
    help: "Ask for a day between 2005-01-03 and today.",
};

/// That currency is not in the fixing.
pub const NO_CURRENCY: Kind = Kind {
    code: "currency_not_found",
    status: 404,
    title: "No such currency",
    meaning: "The fixing of that day has no rate for this currency.",
    help: "GET /exchange lists the currencies of a fixing.",
};

/// A year whose holidays are not known.
pub const NO_HOLIDAYS: Kind = Kind {
    code: "year_not_supported",
    status: 404,
    title: "Year not supported",
    meaning: "The rules for legal holidays are known for 2012 to 2099.",
    help: "Ask for a year in this range.",
};

/// A parameter or member that cannot be used.
pub const BAD_VALUE: Kind = Kind {
    code: "bad_value",
    status: 400,
    title: "Bad value",
    meaning: "A parameter or a member of the body cannot be used; the detail names it.",
    help: "Correct the value.",
};

/// The source cannot be reached, or asks to be left alone.
pub const SOURCE_UNAVAILABLE: Kind = Kind {
    code: "source_unavailable",
    status: 503,
    title: "Source unavailable",
    meaning: "The institution that holds the data does not answer, and no older answer is at hand.",
    help: "Ask again later.",
};

/// The source answered something else than data.
pub const SOURCE_BROKEN: Kind = Kind {
    code: "source_broken",
    status: 502,
    title: "Source answered nonsense",
    meaning: "The institution that holds the data answered something that is not its documented form.",
    help: "Ask again later; report it if it lasts.",
};

/// The source took too long.
pub const SOURCE_TIMEOUT: Kind = Kind {
    code: "source_timeout",
    status: 504,
    title: "Source too slow",
    meaning: "The institution that holds the data did not answer in time.",
    help: "Ask again later.",
};

/// All of them, for the reference.
pub const TABLE: &[Kind] = &[
    INVALID_CIF,
    NOT_REGISTERED,
    NO_REGISTER,
    REGISTER_UNREADABLE,
    NO_BALANCE,
    NO_FIXING,
    NO_CURRENCY,
    NO_HOLIDAYS,
    BAD_VALUE,
    SOURCE_UNAVAILABLE,
    SOURCE_BROKEN,
    SOURCE_TIMEOUT,
];
