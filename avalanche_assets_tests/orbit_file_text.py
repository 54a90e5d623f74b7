"""Orbit files in the layout of real ones, on a path integrated through the Earth's zonal gravity field."""

import numpy as np
from numpy.polynomial import legendre
from scipy.integrate import solve_ivp

MU, RADIUS, SPIN = 3.986004418e14, 6378136.3, 7.2921151467e-5
ZONAL = {2: 1.08262668e-3, 3: -2.53265649e-6, 4: -1.61962159e-6, 5: -2.27296083e-7, 6: 5.40681239e-7}
"""J2 to J6 of EGM96."""
EPOCH = np.datetime64("2018-01-05T05:40:12.261101", "ns")
"""The first state vector; those of restituted orbits are not at whole seconds."""
TIMES = np.arange(0.0, 400.0, 10.0)
START, STOP = EPOCH + np.timedelta64(150, "s"), EPOCH + np.timedelta64(175, "s")
"""A pass of 25 s in the middle."""


def _acceleration(_, state):
    position = state[:3]
    r = np.linalg.norm(position)
    s = position[2] / r
    radial, polar = 1.0, 0.0
    for n, coefficient in ZONAL.items():
        term = coefficient * (RADIUS / r) ** n
        series = [0.0] * n + [1.0]
        radial -= (n + 1) * term * legendre.legval(s, series)
        polar -= term * legendre.legval(s, legendre.legder(series))
    unit = position / r
    pull = -MU / r**2 * radial * unit + MU / r * polar * (np.array([0.0, 0.0, 1.0]) - s * unit) / r
    return np.concatenate([state[3:], pull])


def flown(times):
    """Earth-fixed positions (m) and velocities (m/s) at increasing times from 0 on, each (n, 3)."""
    speed, inclination, argument = np.sqrt(MU / 7.071e6), np.radians(98.18), np.radians(130.0)
    node = np.array([1.0, 0.0, 0.0])
    across = np.array([0.0, np.cos(inclination), np.sin(inclination)])
    start = 7.071e6 * (np.cos(argument) * node + np.sin(argument) * across)
    heading = speed * (-np.sin(argument) * node + np.cos(argument) * across)
    solution = solve_ivp(
        _acceleration,
        (0.0, times[-1] + 1.0),
        [*start, *heading],
        "DOP853",
        t_eval=times,
        rtol=1e-13,
        atol=1e-9,
        max_step=5.0,
    ).y.T
    angle = -SPIN * times
    turn = np.zeros((len(times), 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = -np.sin(angle), np.sin(angle), 1.0
    position = np.einsum("nij,nj->ni", turn, solution[:, :3])
    velocity = np.einsum("nij,nj->ni", turn, solution[:, 3:])
    return position, velocity - np.cross([0.0, 0.0, SPIN], position)


def orbit_file_text(
    instants=None,
    states=None,
    *,
    platform="S1A",
    source="POEORB",
    validity=None,
):
    """Text of an orbit file; by default of the flown path at `TIMES`."""
    if instants is None:
        instants = EPOCH + (TIMES * 1e9).astype("timedelta64[ns]")
    positions, velocities = flown(TIMES) if states is None else states
    first, last = validity or (instants[0], instants[-1])
    vectors = ""
    for instant, position, velocity in zip(instants, positions, velocities, strict=True):
        utc = instant.astype("datetime64[us]")
        vectors += f"""\
    <OSV>
      <TAI>TAI={utc + np.timedelta64(37, "s")}</TAI>
      <UTC>UTC={utc}</UTC>
      <UT1>UT1={utc + np.timedelta64(212000, "us")}</UT1>
      <Absolute_Orbit>+20015</Absolute_Orbit>
      <X unit="m">{position[0]:.6f}</X>
      <Y unit="m">{position[1]:.6f}</Y>
      <Z unit="m">{position[2]:.6f}</Z>
      <VX unit="m/s">{velocity[0]:.6f}</VX>
      <VY unit="m/s">{velocity[1]:.6f}</VY>
      <VZ unit="m/s">{velocity[2]:.6f}</VZ>
      <Quality>NOMINAL</Quality>
    </OSV>
"""
    return f"""\
<?xml version="1.0" ?>
<Earth_Explorer_File>
  <Earth_Explorer_Header>
    <Fixed_Header>
      <File_Name>{platform}_OPER_AUX_{source}_OPOD_20210307T053325_V_</File_Name>
      <File_Description>Precise Orbit Ephemerides (POE) Orbit File</File_Description>
      <Notes></Notes>
      <Mission>Sentinel-{platform[1:]}</Mission>
      <File_Class>OPER</File_Class>
      <File_Type>AUX_{source}</File_Type>
      <Validity_Period>
        <Validity_Start>UTC={first.astype("datetime64[s]")}</Validity_Start>
        <Validity_Stop>UTC={last.astype("datetime64[s]")}</Validity_Stop>
      </Validity_Period>
      <File_Version>0001</File_Version>
      <Source>
        <System>OPOD</System>
        <Creator>OPOD</Creator>
        <Creation_Date>UTC=2021-03-07T05:33:25</Creation_Date>
      </Source>
    </Fixed_Header>
    <Variable_Header>
      <Ref_Frame>EARTH_FIXED</Ref_Frame>
      <Time_Reference>UTC</Time_Reference>
    </Variable_Header>
  </Earth_Explorer_Header>
<Data_Block type="xml">
  <List_of_OSVs count="{len(instants)}">
{vectors}  </List_of_OSVs>
</Data_Block>
</Earth_Explorer_File>
"""


def name(platform="S1A", source="POEORB", created="20210307T053325", start=EPOCH, stop=None):
    """Name of an orbit file that is valid from `start` to `stop`, by default as long as `TIMES`."""
    stop = start + np.timedelta64(int(TIMES[-1]), "s") if stop is None else stop
    first, last = (str(t.astype("datetime64[s]")).replace("-", "").replace(":", "") for t in (start, stop))
    return f"{platform}_OPER_AUX_{source}_OPOD_{created}_V{first}_{last}.EOF"
