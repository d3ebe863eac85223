"""Templates: which brace groups are columns, which are text, which are errors."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchnb.errors import InputError, TemplateError
from batchnb.questions.cells import CellError
from batchnb.questions.template import Field, compile_template, whole_column

COLUMNS = ["review", "price", "star rating", "a b{c}", 3, ("x", "y")]
VALUES = {"review": "good", "price": 3.5, "star rating": 4, "a b{c}": "odd", 3: "three", ("x", "y"): "multi"}


def fill(template: str, columns=COLUMNS) -> str:
    compiled = compile_template(template, columns)
    return compiled.render([VALUES[column] for column in compiled.columns])


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Classify: {review}", "Classify: good"),
        ("{review}", "good"),
        ("{review}{price}{review}", "good3.5good"),
        ("Stars: {star rating}.", "Stars: 4."),
        ("A column with braces: {a b{c}}!", "A column with braces: odd!"),
        ("A label that is no string: {3}, {('x', 'y')}", "A label that is no string: three, multi"),
        ("Costs {price:.2f}", "Costs 3.50"),
        ("Costs {price:>8.1f}|", "Costs      3.5|"),
        ("{review:*^10}", "***good***"),
        ("{star rating:03d}", "004"),
    ],
)
def test_a_group_that_names_a_column_is_filled(template, prompt):
    assert fill(template) == prompt


@pytest.mark.parametrize(
    "literal",
    [
        '{"label": "positive"}',
        "{'label': 'positive'}",
        '{"a": {"b": {"c": []}}, "d": {}}',
        '{\n  "label": "positive",\n  "why": null\n}',
        "{\n}",
        'Reply {"ok": true} or {"ok": false}.',
        'A string with a brace: {"a": "}"} and {"a": "{"}',
        "function f() {\n  if (x) { return 1; }\n}",
        "{price: high}",  # the spec would have a leading space
        "{price: 5}",
        "{rating: 5}",
        '{price:"high"}',
        "{positive|negative|neutral}",
        "{1, 2, 3}",
        "{1,2}",
        "{the text of the review}",
        "{{1,2},{3,4}}",
        "{ x }",
        "a { b",
        "a } b",
        "}{",
        "{{",
        "}}",
        "100%",
        "%s %d %(review)s",
        "{0,}",
        "{-}",
        "{...}",
        "{<x>}",
    ],
)
def test_a_group_that_resembles_no_column_is_literal_text(literal):
    assert fill(literal + " {review}") == literal + " good"


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{{word}} {review}", "{word} good"),
        ("{{review}} {review}", "{review} good"),
        ("{{two words}} {review}", "{two words} good"),
        ("{{}} {review}", "{} good"),
        ("{{review.upper()}} {review}", "{review.upper()} good"),
        ("{{label:positive}} {review}", "{label:positive} good"),
        ("{{row['review']}} {review}", "{row['review']} good"),
        ("{{{review}}}", "{good}"),
        ("{{<{review}>}}", "{<good>}"),
        ("{{{{review}}}} {review}", "{{review}} good"),
        (r"\frac{{a}}{{b}} {review}", r"\frac{a}{b} good"),
    ],
)
def test_doubled_braces_write_literal_ones(template, prompt):
    assert fill(template) == prompt


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ('{"text": "{review}", "label": "?"}', '{"text": "good", "label": "?"}'),
        ('{"item": {"text": {review}, "cost": {price:.2f}}}', '{"item": {"text": good, "cost": 3.50}}'),
        ("{ {review} }", "{ good }"),
        ("{positive {review}}", "{positive good}"),
        ("{review}}", "good}"),
        ("{{review}", "{good"),
        ("{ open {review}", "{ open good"),
    ],
)
def test_columns_inside_literal_groups_are_filled(template, prompt):
    assert fill(template) == prompt


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{reveiw}", ["{reveiw}", "Did you mean {review}?", "{{reveiw}}"]),
        ("{Review}", ["Did you mean {review}?"]),
        ("{star_rating}", ["Did you mean {star rating}?"]),
        ("{Star Rating}", ["Did you mean {star rating}?"]),
        ("{zzzz}", ["no column 'zzzz'", "The columns are: {review}, {price}, {star rating}"]),
        ("{0}", ["no column '0'"]),
        ("{리뷰}", ["no column '리뷰'"]),
        ("{prise:.2f}", ["no column 'prise'", "{price}"]),
        ("{reveiw!r}", ["no column 'reveiw'"]),
        ("{reveiw:}", ["no column 'reveiw'"]),
        ("{ review }", ["Write {review}."]),
        ("{ review}", ["Write {review}."]),
        ("{review }", ["Write {review}."]),
        ("{ price:.2f }", ["Write {price:.2f}."]),
        ("{ reveiw }", ["Did you mean {review}?"]),
        ("{\n  review\n}", ["Write {review}."]),
        ("{review!r}", ["Write {review}", "{{review!r}}"]),
        ("{review.text}", ["Write {review}"]),
        ("{review.upper()}", ["Write {review}"]),
        ("{review[0]}", ["Write {review}"]),
        ('{review["text"]}', ["Write {review}"]),
        ("{review(1)}", ["Write {review}"]),
        ("{a b{c}.upper()}", ["Write {a b{c}}"]),
        ("{price:}", ["Write {price}."]),
        ("{row['review']}", ["Write {review}."]),
        ('{row["other"]}', ["Write {column}."]),
        ("{row.review}", ["Python is not run"]),
        ("{len(review)}", ["Python is not run"]),
        ("{words[0]}", ["Python is not run"]),
        ("{}", ["{} names no column", "{{}}"]),
        ("{ }", ["names no column"]),
        ("{{ review }}", ["Jinja", "Write {review}"]),
        ("{{ other }}", ["Jinja", "Write {column}"]),
        ("{{ review | upper }}", ["Jinja"]),
        ("{{ row['review'] }}", ["Jinja"]),
        ("{{{ review }}}", ["Write {review}."]),
        ("{% if review %}", ["Jinja", "callable"]),
        ("{%- for x in y", ["Jinja"]),
        ('{{"label": "positive"}}', ["no doubled braces", '{"label": "positive"}']),
        ('{{\n  "label": "{review}"\n}}', ["no doubled braces"]),
        ('{"text": "{reveiw}"}', ["Did you mean {review}?"]),
    ],
)
def test_a_group_that_would_send_the_wrong_text_is_an_error_that_shows_the_right_form(template, said):
    with pytest.raises(TemplateError) as caught:
        compile_template(template + " {review}", COLUMNS)
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "template", ["", "Classify this.", '{"label": "positive"}', "{review", "review}", "{positive|negative}"]
)
def test_a_template_that_names_no_column_is_an_error_that_suggests_system(template):
    with pytest.raises(TemplateError, match=r"system=.*\{review\}"):
        compile_template(template, COLUMNS)


def test_a_template_with_its_only_column_doubled_is_told_so():
    with pytest.raises(TemplateError, match=r"\{\{review\}\} writes a literal \{review\}\. Write \{review\}"):
        compile_template("Classify: {{review}}", COLUMNS)


def test_a_frame_without_columns_gets_an_error_that_says_so():
    with pytest.raises(TemplateError, match="has no columns"):
        compile_template("{review}", [])
    with pytest.raises(TemplateError, match="this frame has none"):
        compile_template("text", [])


def test_a_template_that_is_no_text_is_an_error():
    with pytest.raises(TemplateError, match="int"):
        compile_template(5, COLUMNS)


def test_every_template_error_is_an_input_error_and_a_value_error():
    assert issubclass(CellError, TemplateError)
    assert issubclass(TemplateError, InputError)
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("columns", [["a", "a", "b"], [1, "1", "b"]])
def test_a_name_that_two_columns_share_is_an_error_only_where_it_is_used(columns):
    with pytest.raises(TemplateError, match="2 columns"):
        compile_template(f"{{{columns[0]}}}", columns)
    assert compile_template("{b}", columns).columns == ("b",)


def test_the_longest_exact_name_wins():
    assert compile_template("{a}{b}", ["a", "b", "a}{b"]).columns == ("a}{b",)
    assert compile_template("{a:.2f}", ["a", "a:.2f"]).columns == ("a:.2f",)
    assert compile_template("{a:b:>4}", ["a", "a:b"]).parts == (Field("a:b", ">4"),)
    assert compile_template("{{review}}", ["review", "{review}"]).columns == ("{review}",)
    assert compile_template("{}", [""]).columns == ("",)
    assert compile_template('{"a": "b"}', ['"a": "b"']).columns == ('"a": "b"',)
    assert compile_template("{ review }", ["review", " review "]).columns == (" review ",)


def test_columns_come_in_the_order_of_first_appearance_each_once_as_the_frames_own_labels():
    template = compile_template("{3} {review} {3} {price:.1f} {price} {('x', 'y')}", COLUMNS)
    assert template.columns == (3, "review", "price", ("x", "y"))
    assert template.render(["3", "r", 2.0, "t"]) == "3 r 3 2.0 2 t"
    assert template.text == "{3} {review} {3} {price:.1f} {price} {('x', 'y')}"


def test_one_column_used_twice_may_come_from_an_iterator_that_can_be_read_once():
    template = compile_template("{price:.1f} {price} {review} {price}", COLUMNS)
    assert list(template.render_rows([iter([1.0, 2.5]), iter("ab")])) == ["1.0 1 a 1", "2.5 2.5 b 2.5"]


def test_substituted_text_is_never_scanned_again():
    template = compile_template("{review} {price}", COLUMNS)
    assert template.render(["{price} {{x}} %s {0}", "{review}"]) == "{price} {{x}} %s {0} {review}"


def test_one_value_a_column_is_needed():
    template = compile_template("{review} {price}", COLUMNS)
    for call in (template.render, template.pieces, lambda values: list(template.render_rows(values))):
        with pytest.raises(ValueError, match="reads 2 columns"):
            call(["a"])
    with pytest.raises(ValueError, match="shorter"):
        list(template.render_rows([["a", "b"], ["c"]]))


def test_a_whole_column_is_its_own_text():
    template = whole_column("a b{c}")
    assert template.columns == ("a b{c}",)
    assert template.render(["{review}"]) == "{review}"
    assert template == compile_template(template.text, COLUMNS)


def test_pieces_tell_filled_in_text_from_the_templates_own():
    template = compile_template("Is {review} worth {price:.2f}?", COLUMNS)
    pieces = template.pieces(["good", 3])
    assert pieces == [("Is ", False), ("good", True), (" worth ", False), ("3.00", True), ("?", False)]


def test_pathological_templates_are_read_in_good_time():
    compile_template("a(" * 2000 + "{" + "f" + "()" * 2000 + "x} {review}", COLUMNS)
    compile_template("{" * 3000 + "{review}", COLUMNS)
    compile_template('{"a": ' * 300 + "1" + "}" * 300 + "{review}", COLUMNS)


def test_rows_before_a_bad_one_are_yielded_and_none_after_it():
    template = compile_template("{review} {price:.1f} {star rating}", COLUMNS)
    rows = template.render_rows([iter("abc"), iter([1.0, "x", 3.0]), iter("def")])
    assert next(rows) == "a 1.0 d"
    with pytest.raises(CellError) as caught:
        next(rows)
    assert caught.value.column == "price"
    assert list(rows) == []


# --- properties ------------------------------------------------------------------------------------------------------

names = st.text(min_size=0, max_size=8) | st.text(alphabet="ab {}\":.!'\n[%", max_size=6)
plain_text = st.text().map(lambda text: text.replace("{", "(").replace("}", ")"))
wild_text = st.text() | st.text(alphabet="ab{}%:\"' ", max_size=20)
json_text = st.text(max_size=6).map(lambda text: text.replace("{", "(").replace("}", ")"))
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | json_text
branches = st.lists(leaves, max_size=3) | st.dictionaries(json_text, leaves, max_size=3)
documents = st.dictionaries(
    json_text,
    leaves | branches | st.lists(branches, max_size=2) | st.dictionaries(json_text, branches, max_size=2),
    min_size=1,
    max_size=4,
)


@given(st.data())
def test_literals_and_fields_render_to_their_concatenation_whatever_the_names_and_values(data):
    columns = data.draw(st.lists(names, min_size=1, max_size=4, unique=True))
    parts = data.draw(st.lists(plain_text | st.sampled_from(columns).map(lambda name: (name,)), min_size=1))
    fields = [part[0] for part in parts if isinstance(part, tuple)]
    assume(fields)
    template = "".join(f"{{{part[0]}}}" if isinstance(part, tuple) else part for part in parts)
    # Where a longer name happens to fit at the same brace, it is meant to win.
    at = 0
    for part in parts:
        if isinstance(part, tuple):
            assume(not any(len(name) > len(part[0]) and template.startswith(f"{{{name}}}", at) for name in columns))
        at += len(part[0]) + 2 if isinstance(part, tuple) else len(part)

    values = {name: data.draw(wild_text) for name in columns}
    compiled = compile_template(template, columns)
    assert list(compiled.columns) == list(dict.fromkeys(fields))
    expected = "".join(values[part[0]] if isinstance(part, tuple) else part for part in parts)
    row = [values[name] for name in compiled.columns]
    assert compiled.render(row) == expected
    assert "".join(text for text, _ in compiled.pieces(row)) == expected


@given(documents, st.sampled_from([None, 2]), wild_text)
def test_json_examples_survive_unchanged(document, indent, value):
    example = json.dumps(document, ensure_ascii=False, indent=indent)
    compiled = compile_template(f"Reply like {example}: {{review}}", COLUMNS)
    assert compiled.render([value]) == f"Reply like {example}: {value}"


cells = st.one_of(
    wild_text, st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text(max_size=3), max_size=3)
)


@given(st.lists(st.tuples(cells, cells, st.floats()), max_size=10))
def test_rendering_rows_equals_rendering_each_row_and_its_pieces(rows):
    compiled = compile_template('{review} {"x": {star rating}} {review}{price:.2f}{price}', COLUMNS)
    prompts = list(compiled.render_rows([[row[place] for row in rows] for place in range(3)]))
    assert prompts == [compiled.render(row) for row in rows]
    assert prompts == ["".join(text for text, _ in compiled.pieces(row)) for row in rows]


@given(wild_text | st.text(alphabet="{}[]().!: %|'\"\nreviw0", max_size=30))
def test_any_text_is_either_read_or_refused_with_a_template_error(text):
    try:
        compiled = compile_template(text + "{review}", COLUMNS)
    except TemplateError:
        return
    row = [VALUES[column] for column in compiled.columns]
    assert compiled.render(row) == next(compiled.render_rows([[value] for value in row]))
    again = compile_template(text + "{review}", COLUMNS)
    assert again == compiled


@pytest.mark.parametrize(
    "spec",
    ["999999999999", "3000000000", "9>999999999", "0200000", "\u0669" * 7, ".99999999f", ".999999999%", ">10.9999999e",
     "%9999999d", "9" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("bare", [False, True])
def test_a_format_spec_that_would_fill_the_memory_is_refused_before_any_value_is_formatted(spec, bare):
    with pytest.raises(TemplateError, match=r"\{price:.* more than 10,000 characters"):
        compile_template(f"Costs {{price:{spec}}}", COLUMNS, bare=bare)


def test_a_text_may_be_cut_anywhere_and_a_number_gets_no_digits_without_end():
    assert fill("{review:.50000}") == "good"
    assert fill("{review:.3}") == "goo"
    assert len(fill("{review:10000}")) == 10_000
    with pytest.raises(CellError, match=r"'price'.*more than 10,000 digits"):
        fill("{price:.50000}")


@pytest.mark.parametrize("spec", ["{price}", ">{price}", ".{price}f", "{price}.{3}", "*^{price}s"])
def test_a_format_spec_that_another_column_fills_is_an_error_rather_than_text(spec):
    with pytest.raises(TemplateError, match="no braces in it"):
        compile_template(f"{{review:{spec}}}", COLUMNS)
    assert fill(f"{{{{review:{'{price}'}}}}}") == "{review:3.5}"
    assert fill("{review: {price}}") == "{review: 3.5}"
