"""Current-source density against an analytic potential, and the lines of sites it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ranvier.exceptions import ProbeError
from ranvier.recordings.channels import ChannelTable, Site, plain_channels
from ranvier.spectral.current_source import current_source_density, line_of_sites


def table(positions: list[tuple[float, float] | None], shanks: list[int] | None = None) -> ChannelTable:
    plain = plain_channels(amp=len(positions))
    made = [
        replace(c, site=None if at is None else Site(*at), shank=0 if shanks is None else shanks[i])
        for i, (c, at) in enumerate(zip(plain, positions, strict=True))
    ]
    return plain.with_channels(made)


def test_a_cosine_potential_has_the_sources_that_poisson_says() -> None:
    spacing, wave = 50.0, 800.0
    z = np.arange(24) * spacing
    potential = 200 * np.cos(2 * np.pi * z / wave)[:, None] * np.ones((1, 3))
    found = current_source_density(potential, spacing, 0.3)
    # -sigma d2V/dz2 with V in V and z in m, in A/m^3 = nA/mm^3; the three-point estimate is lower by a known factor
    exact = 0.3 * (2 * np.pi / (wave * 1e-6)) ** 2 * potential * 1e-6
    factor = (np.sin(np.pi * spacing / wave) / (np.pi * spacing / wave)) ** 2
    np.testing.assert_allclose(found[1:-1], exact[1:-1] * factor, rtol=1e-9, atol=1e-6)
    assert np.isfinite(found).all()
    assert np.isnan(current_source_density(potential, spacing, edges=False)[[0, -1]]).all()


def test_a_linear_potential_has_no_source_inside() -> None:
    found = current_source_density(np.linspace(0, 70, 8)[:, None], 100.0)
    np.testing.assert_allclose(found[1:-1], 0, atol=1e-9)


def test_sites_are_ordered_from_the_tip_up() -> None:
    channels = table([(0, 300), (0, 100), (0, 200), (0, 0)])
    order, depth = line_of_sites(channels, np.arange(4))
    assert order.tolist() == [3, 1, 2, 0]
    assert depth.tolist() == [0, 100, 200, 300]


@pytest.mark.parametrize(
    ("positions", "shanks", "word"),
    [
        ([(0, 0), None, (0, 100)], None, "no site position is known for pri_1"),
        ([(0, 0), (30, 50), (0, 100)], None, "2 column"),
        ([(0, 0), (0, 50), (0, 100)], [0, 0, 1], "2 shank"),
        ([(0, 0), (0, 50), (0, 150)], None, "not evenly spaced: 50 to 100"),
        ([(0, 0), (0, 50), (0, 50)], None, "not evenly spaced"),
    ],
)
def test_what_is_no_line_is_refused(
    positions: list[tuple[float, float] | None], shanks: list[int] | None, word: str
) -> None:
    with pytest.raises(ProbeError, match=word):
        line_of_sites(table(positions, shanks), np.arange(len(positions)))


def test_two_sites_are_too_few() -> None:
    with pytest.raises(ProbeError, match="needs 3 sites"):
        current_source_density(np.zeros((2, 5)), 50.0)
