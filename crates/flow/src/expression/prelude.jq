def repeat(f): def rec: tick | (f, rec); rec;
def recurse(f): def rec: tick | (., (f | rec)); rec;
def while(cond; update): def rec: tick | if cond then ., (update | rec) else empty end; rec;
def until(cond; update): def rec: tick | if cond then . else update | rec end; rec;
def matches($re; $flags): regex_cost($re) | regex_matches($re; $flags);
def split_matches($re; $flags): regex_cost($re) | regex_split_matches($re; $flags);
def split_($re; $flags): regex_cost($re) | regex_split($re; $flags);
def join($s): reduce .[] as $x (null;
  (if . == null then "" else . + $s end)
  + ($x | if . == null then "" elif isstring then . else tojson end)) // "";
def combinations: if length == 0 then [] else
  reduce .[] as $a ([[]]; [.[] as $x | $a[] as $y | $x + [$y]]) | .[] end;
def index($i): indices($i)[0];
def rindex($i): indices($i)[-1];
def paths: path(..) | select(length > 0);
def trimstr($s): ltrimstr($s) | rtrimstr($s);
def toarray: if isarray then . else [.] end;
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] |= $row);
def INDEX(f): INDEX(.[]; f);
def @csv: map(if isnumber then tojson elif isboolean then tojson elif . == null then ""
  elif isstring then "\"" + (split("\"") | join("\"\"")) + "\""
  else error("only plain values fit in a row of @csv") end) | join(",");
def @tsv: map(if isnumber then tojson elif isboolean then tojson elif . == null then ""
  elif isstring then (split("\\") | join("\\\\")) | (split("\t") | join("\\t"))
    | (split("\n") | join("\\n")) | (split("\r") | join("\\r"))
  else error("only plain values fit in a row of @tsv") end) | join("\t");
def ascii: [.] | implode;
def fromstream(f): reduce f as $e ({ out: [], v: null, open: false };
  if $e | length == 2 then
    if $e[0] == [] then .out += [$e[1]] else .open = true | .v |= setpath($e[0]; $e[1]) end
  else if $e[0] | length == 1 then .out += [.v] | .v = null | .open = false else . end end) | .out[];
def tostream: tostream_of([])[];
