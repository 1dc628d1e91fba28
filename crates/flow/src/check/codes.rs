//! [pure] The codes of findings and what they mean: `taraf explain CODE`.

/// Codes of findings: code, title, explanation.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "T0001",
        "not YAML",
        "The text is neither YAML 1.2 nor JSON. Numbers that JSON cannot hold (.nan, .inf) count as well.",
    ),
    (
        "T0002",
        "duplicate key",
        "A map has the same key twice. Which one would count is nobody's guess, so neither does.",
    ),
    (
        "T0003",
        "merge key",
        "`<<` was dropped from YAML 1.2. Write the members out, or use an anchor for the whole value.",
    ),
    (
        "T0004",
        "over a limit",
        "A definition has at most 1 MiB, 64 levels of nesting, 10,000 nodes behind aliases, 1,000 tasks, and 256 branches in a fork.",
    ),
    (
        "T0005",
        "bad key or alias",
        "Keys are text, and an alias refers to an anchor that ended before it.",
    ),
    (
        "T0006",
        "not one document",
        "A file holds exactly one document.",
    ),
    (
        "T0100",
        "old language",
        "`specVersion` and `states` belong to the Serverless Workflow language 0.8 and 0.9, which has nothing in common with 1.0.",
    ),
    (
        "T0101",
        "unknown member",
        "Almost every object of the language is closed. Own members at the top may begin with `x-`; free data go under `metadata`.",
    ),
    (
        "T0102",
        "missing member",
        "The language requires this member.",
    ),
    (
        "T0103",
        "wrong type",
        "The value is of another type than the language wants here.",
    ),
    (
        "T0104",
        "value not allowed",
        "Only certain values, or values of a certain form, are allowed here.",
    ),
    (
        "T0105",
        "empty",
        "At least one member or item is needed here.",
    ),
    (
        "T0110",
        "language version",
        "`document.dsl` is a 1.x version of the language.",
    ),
    (
        "T0201",
        "no kind of task",
        "A task has exactly one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait.",
    ),
    (
        "T0202",
        "several kinds of task",
        "A task has exactly one of call, do, emit, for, fork, listen, raise, run, set, switch, try, wait. Put several tasks in a list.",
    ),
    (
        "T0203",
        "duplicate task name",
        "Names of tasks are unique in their list, so that `then` knows where to go.",
    ),
    (
        "T0204",
        "reserved task name",
        "`continue`, `exit` and `end` are directives and cannot be names of tasks.",
    ),
    (
        "T0205",
        "one task per item",
        "Each item of a list is a map with one key: the name of the task, the case or the extension.",
    ),
    (
        "T0301",
        "unknown name",
        "The name is not defined under `use`.",
    ),
    (
        "T0302",
        "unknown authentication",
        "The policy is not defined under `use.authentications`.",
    ),
    (
        "T0303",
        "unknown secret",
        "The secret is not listed under `use.secrets`.",
    ),
    (
        "T0304",
        "unknown function",
        "`call` names a protocol, a function of `use.functions`, a URL, or `name:version[@catalog]`.",
    ),
    (
        "T0312",
        "unknown target",
        "`then` is continue, exit, end, or the name of a task in the same list.",
    ),
    (
        "T0313",
        "several defaults",
        "A switch has at most one case without `when`.",
    ),
    (
        "T0401",
        "expression does not parse",
        "The text is not jq. In a data place write `${ … }` around an expression.",
    ),
    (
        "T0402",
        "unbound variable",
        "The variable is not visible in this place; which ones are depends on the place.",
    ),
    (
        "T0403",
        "unknown function in an expression",
        "jq's functions are available, except those that reach outside: env, input, halt, debug, stderr, localtime.",
    ),
    (
        "T0404",
        "recursive definition",
        "A definition in an expression may not call itself, as nothing would bound its stack. Use recurse, until, while, reduce or foreach.",
    ),
    (
        "T0410",
        "bad duration",
        "A duration is a map of days, hours, minutes, seconds, milliseconds, an ISO 8601 text such as PT5S, or an expression that gives one.",
    ),
    ("T0411", "negative duration", "Durations are not negative."),
    (
        "T0412",
        "bad cron",
        "Five fields (minute, hour, day, month, weekday), six with leading seconds, or a word such as @daily.",
    ),
    (
        "T0413",
        "bad URI template",
        "`{name}` stands for a member of the input; braces are balanced and not empty.",
    ),
    (
        "T0414",
        "bad regular expression",
        "The pattern is not one that runs in linear time.",
    ),
    (
        "T0415",
        "bad JSON Schema",
        "The schema is none, or refers to another document; what schemas refer to is not fetched.",
    ),
    (
        "T0416",
        "jitter bounds",
        "`jitter.from` is not more than `jitter.to`.",
    ),
    (
        "T0417",
        "document elsewhere",
        "A document that the definition names and that lies elsewhere could not be fetched or used. It is JSON or YAML of at most 1 MiB; a schema may refer to places within itself only.",
    ),
    (
        "T0420",
        "exactly one",
        "Exactly one of these members must be there.",
    ),
    (
        "T0421",
        "lifetime",
        "`lifetime.after` goes with `cleanup: eventually`, and only with it.",
    ),
    (
        "T0422",
        "not supported",
        "The language allows it, or allowed it once; this engine does not.",
    ),
    (
        "T0423",
        "endless subflow",
        "The flow runs itself without any condition; it would never end.",
    ),
    (
        "T0424",
        "arguments are a list",
        "Since 1.0.3 the arguments of scripts and shell commands are a list; a map was the older form.",
    ),
    (
        "T0501",
        "embedded expression",
        "`${` in the middle of a text is not evaluated. Write one expression: `${ \"text \\(.x)\" }`.",
    ),
    (
        "T0502",
        "looks like an expression",
        "In a data place only `${ … }` is evaluated; this text is taken literally.",
    ),
    (
        "T0503",
        "unreachable task",
        "No way through the list leads to this task.",
    ),
    (
        "T0504",
        "retry without limit",
        "Nothing ends the retries: set `limit.attempt.count` or `limit.duration`.",
    ),
    (
        "T0505",
        "secret in data",
        "A secret that is evaluated outside `with`, `authentication` and `input.from` ends up in stored data.",
    ),
    (
        "T0506",
        "loop without timeout",
        "A jump backwards can run for ever; a timeout on the flow would end it.",
    ),
    (
        "T0507",
        "input schema on a schedule",
        "A run started by the clock has the input `{}`.",
    ),
    (
        "T0508",
        "grant for people",
        "`authorization_code` needs a person with a browser; a run that meets it faults with a configuration error.",
    ),
    (
        "T0600",
        "not run by this engine",
        "The document is sound, but this engine cannot run this part of it yet.",
    ),
];
