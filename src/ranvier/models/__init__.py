"""The vocabulary of the API: every class that crosses it, importable from here.

Each name is loaded from its module at first use, so ``import ranvier.models`` costs next to nothing. Nothing here does
I/O or knows an engine; all models are frozen pydantic models, NumPy arrays where there are samples.
"""

# ruff: noqa: F403

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.models.aligned import *
    from ranvier.models.channels import *
    from ranvier.models.common import *
    from ranvier.models.core_config import *
    from ranvier.models.dac import *
    from ranvier.models.dataset import *
    from ranvier.models.dio import *
    from ranvier.models.dsp import *
    from ranvier.models.events import *
    from ranvier.models.file_types import *
    from ranvier.models.flex import *
    from ranvier.models.impedance import *
    from ranvier.models.jobs import *
    from ranvier.models.kpi import *
    from ranvier.models.output_options import *
    from ranvier.models.ports import *
    from ranvier.models.provenance import *
    from ranvier.models.quality import *
    from ranvier.models.rig import *
    from ranvier.models.sessions import *
    from ranvier.models.signals import *
    from ranvier.models.simulation import *
    from ranvier.models.sorter_stats import *
    from ranvier.models.sorting import *
    from ranvier.models.spectra import *
    from ranvier.models.spectral import *
    from ranvier.models.spikes import *
    from ranvier.models.spikesorter import *
    from ranvier.models.status import *
    from ranvier.models.stim import *
    from ranvier.models.summa import *
    from ranvier.models.tailing import *
    from ranvier.models.time_range import *
    from ranvier.models.transform_params import *
    from ranvier.models.transforms import *
    from ranvier.models.triggers import *
    from ranvier.models.units import *

_NAMES = {
    "aligned": """
        EventCount EventQuery PeriEventHistogram PeriEventResult PeriEventSpectrogram TimeFrequencyQuery
    """,
    "channels": """
        AreaUnits COLOR_GROUP_UNSET ChannelInfo ChannelMetadata KeyIdxs SITE_NUM_UNSET SignalUnits
        SitePosition
    """,
    "common": """
        ClientType ServiceEndpoint
    """,
    "core_config": """
        CableDelay CoreConfig SetCoreConfigRequest
    """,
    "dac": """
        AnalogOutChannel AnalogOutRegister DACHighPass
    """,
    "dataset": """
        DatasetMetadata FileInfo
    """,
    "dio": """
        DIOMode DigitalOutChannelRegister DigitalOutRegister
    """,
    "dsp": """
        DSPGroup DSPParams DSPParamsDict DSPType FilterFamily FilterResponse FilterStage FreqSpecBand
    """,
    "events": """
        EventTable
    """,
    "file_types": """
        RadiensFileType
    """,
    "flex": """
        FlexBackboneMode FlexBundleStatId FlexChannelReduction FlexDSPParams FlexDSPType FlexDashElement
        FlexDataset FlexFilterFamily FlexFilterStage FlexKpiMetricId FlexKpiServiceMode FlexPort
        FlexSignalSpec FlexSignalType FlexSpectralAlgorithm FlexSpectralMode FlexSpectralRange
        FlexSpectralUnit FlexSpectralWindowType FlexSpikeSorterCommand FlexSpikeSorterSubCommand
        FlexStimKeypressIndex FlexTimeRange FlexTriggerChannel
    """,
    "impedance": """
        Impedance ImpedanceValue
    """,
    "jobs": """
        JobInfo JobProgress JobSettings JobState PartProgress
    """,
    "kpi": """
        BundleStatId ChannelReduction KpiBundleStatsResult KpiBundleStatsWindow KpiMetric KpiMetricId
        KpiMetricsResult KpiMetricsSeriesResult KpiMetricsWindow KpiMode KpiServiceMode KpiStatus
    """,
    "output_options": """
        OutputOptions SessionMetadata SubjectMetadata
    """,
    "ports": """
        GPIOChannelCount Port PortChannelCount
    """,
    "provenance": """
        Provenance ProvenanceAcquire ProvenanceDecimate ProvenanceFilter ProvenanceFilterStructure
        ProvenanceOp ProvenanceOpKind ProvenanceOrigin ProvenanceRecord ProvenanceRemapSensor
        ProvenanceSelectChannels ProvenanceSliceTime ProvenanceSort ProvenanceWrite SensorAssignment
        TimestampRange
    """,
    "quality": """
        ChannelQuality ChannelQualityTable ChannelVerdict
    """,
    "rig": """
        ConsumerStatus DiskStatus LatePolicy LatencyReport LiveSignalArrays LoopSettings LoopStatus OutputStatus
        PulseRecord RigState RigStatus SafetyLimits SensorAssignmentInfo SourceStatus Workspace
    """,
    "sessions": """
        AlignmentQuality Barcodes ClockAlignment ReplayReport SessionPiece SplitTimestamps
    """,
    "signals": """
        KeyIndex SigSelect SignalArrays SignalSpec SignalType
    """,
    "simulation": """
        SimulationSpec
    """,
    "sorter_stats": """
        SorterNeuronStats SorterPortStats SorterSiteStats
    """,
    "sorting": """
        SortOptions
    """,
    "spectra": """
        BANDS_HZ BandPowerTable CoherenceResult CsdResult PsdQuery PsdResult
    """,
    "spectral": """
        BatchSpectralResult SpectralAlgorithm SpectralChannelResult SpectralInfoResult SpectralMode
        SpectralQuery SpectralRange SpectralRangeResult SpectralResult SpectralUnit SpectralWindowType
        StftConfig WelchConfig
    """,
    "spikes": """
        ChannelSpikeData LiveSpikes NeuronInfo NeuronSpikeData NeuronsResult SpikesSiteSpec SpikesSpec Unit
    """,
    "spikesorter": """
        DashElement InputFeatureType SorterDynamics SorterTask SpikeDetectParams
        SpikeSorterClustererParams SpikeSorterCommand
        SpikeSorterCriterionLevel SpikeSorterDashboard SpikeSorterDashboardGeneral SpikeSorterDynamicConfig
        SpikeSorterDynamicCriteria SpikeSorterDynamicUpdatePeriod SpikeSorterFeatureParams
        SpikeSorterLaunchParams SpikeSorterLaunchResult SpikeSorterParamCommand SpikeSorterPhase
        SpikeSorterState SpikeSorterStateSystem SpikeSorterSubCommand SpikeSorterType
    """,
    "status": """
        BackboneMode BackboneStatus DataRecordingType RecordMode RecordStateRequest RecordingConfig
        RecordingStatus RestartRequest SinapsStatusRegisters StreamMode StreamStateRequest StreamingStatus
    """,
    "stim": """
        StimKeypressIndex StimParams StimParamsPartial StimPolarity StimPulseMode StimShape StimStep
        StimStepRequest StimStepState StimTriggerEdgeOrLevel StimTriggerHighOrLow
    """,
    "summa": """
        SUMMA_STATISTICS SummaDatasource SummaHistogram SummaResult SummaState
    """,
    "tailing": """
        LivenessState TailingState
    """,
    "time_range": """
        TimeRange TimeRangeSpec TrsMode resolve_time_range sample_at
    """,
    "transform_params": """
        BandParams BlankArtifactsParams BulkSinkParams BulkSourceParams CARParams CorrectSkewParams
        DownsampleParams HighLowPassParams NotchParams PairedRefParams SinkParams SliceChannelsParams SliceTimeParams
        SourceParams TransformNodeType TransformParams VirtualRefParams
    """,
    "transforms": """
        ProtocolGraph ProtocolSpec TransformEdge TransformNode
    """,
    "triggers": """
        ManualStimTriggerRequest ManualStimTriggerToggleRequest SetTriggerStateRequest TriggerChannel
        TriggerState
    """,
    "units": """
        CurationEntry SpikeRaster UnitCorrelograms UnitQuality UnitQualityTable UnitWaveforms
    """,
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # a type checker sees the names themselves, and finds the misspelt ones

    def __getattr__(name: str) -> Any:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, *_NAMES]
