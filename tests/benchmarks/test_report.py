"""What was not measured is said, and never looks as if it had been."""

from benchmarks.rows import Entry, Row

from benchmarks import goals, peers, report, tables


def row(**ratios: float) -> Row:
    """A row of neurode against a peer, which takes a second."""
    entries = [Entry("neurode", 0.5), Entry("diffrax", 1.0, (0.4, 0.5, 0.6))]
    return Row({"size": "2 x 2"}, entries, dict(ratios), pairs=5, share=1.0)


def test_a_peer_that_is_missing_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(peers.NEEDS, "diffrax", ("no_such_package",))
    assert peers.find("diffrax") is None
    assert peers.find("diffrax") is None
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "diffrax: not measured" in said


def test_a_peer_that_is_missing_has_its_place_in_the_table():
    rows = [Row({"size": "2 x 2"}, [Entry("neurode", 0.5), peers.not_installed("diffrax")])]
    assert "| diffrax | not installed |" in tables.table(rows)
    assert "diffrax not installed" in tables.line(rows[0])
    assert "Not installed, so not compared with: diffrax" in report.opening(report.Results(), rows)
    assert "not measured" in goals.table(rows)


def test_a_row_without_times_says_why_and_reaches_nothing():
    bad = row(forward=0.1)
    bad.problem = "neurode and diffrax differ by 1.0e-01, more than 1e-03"
    assert bad.problem in tables.table([bad])
    assert "500 ms" not in tables.table([bad])
    assert not goals.reports([bad], "forward")
    assert "1 of 1 rows have no times" in report.opening(report.Results(), [bad])


def test_the_worst_row_counts():
    rows = [row(forward=0.7), row(forward=0.9), row(forward=0.8)]
    assert goals.reports(rows, "forward")[0] == (0.9, rows[1])
    goal = goals.GOALS["forward"]
    assert goals.verdict(goal, 0.7) == "aim reached"
    assert goals.verdict(goal, 0.9) == "reached"
    assert "missed" in goals.verdict(goal, 1.1)


def test_a_busy_machine_and_missing_cases_are_said():
    busy = row()
    busy.share = 0.5
    said = report.opening(report.Results(), [busy])
    assert "The machine was busy" in said
    assert "Not run: a, b" in said
    assert "busy" not in report.opening(report.Results(), [row()])


def test_rows_survive_the_file():
    there = row(forward=0.7)
    assert Row.from_json(there.as_json()).as_json() == there.as_json()
