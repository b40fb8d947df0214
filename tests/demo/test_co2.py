"""The carbon dioxide section: what is learned from, what is held out, and honest baselines."""

from types import SimpleNamespace

import numpy as np

from neurode.data import mauna_loa_co2
from neurode.demo import SECTIONS
from neurode.demo import co2 as section
from neurode.demo.co2_findings import DRIFT, LEARNED_UNTIL, MODEL, NAIVE, Findings
from neurode.demo.co2_page import present
from neurode.estimators import Forecast


class LastValue:
    """Stands for a model: goes on with the last value, and is never sure."""

    def forecast(self, times, data, level):
        (_, values), m = data[0], len(times)
        mean = np.full((1, m, 1), values[-1])
        return Forecast(mean, mean - 50, mean + 50, None, times, level, ("co2",), None)


def observed():
    table = mauna_loa_co2()
    years, values = 1970 + table.times / section.YEAR, table.values[:, 0]
    seen = np.isfinite(values)
    return table, years[seen], values[seen]


def test_nothing_held_out_is_learned_from():
    _, years, values = observed()
    stretches = section.cut_stretches(years, values)
    assert len(stretches) > 100
    assert max(t[-1] for t, _ in stretches) < LEARNED_UNTIL < min(section.ORIGINS)
    for t, y in stretches[:: len(stretches) // 5]:
        assert 2 < t[-1] - t[0] < 3
        assert abs(y[t < t[0] + 2].mean()) < 0.2


def test_forecasts_and_the_page():
    table, years, values = observed()
    origins = [section.forecast_year(LastValue(), years, values, y) for y in section.ORIGINS]
    for origin in origins:
        assert origin.seen[0][-1] < origin.times[0]
        assert np.ptp(origin.forecasts[MODEL]) == 0
    model = SimpleNamespace(
        stats_={"seconds": 1.0},
        history_={n: np.ones(3) for n in ("step", "loss", "nfe_forward", "nfe_backward")},
    )
    found = Findings(table, years, 7, model, origins)
    errors = found.errors()
    assert errors[DRIFT] < errors[NAIVE] < errors[MODEL]
    assert found.inside() == (len(np.concatenate([o.truth for o in origins])),) * 2
    result = present(found)
    assert "No model beats the best naive forecast" in result.summary
    assert section.MAUNA_LOA in SECTIONS
