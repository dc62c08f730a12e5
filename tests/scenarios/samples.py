"""Small studies made with pydicom: a CT series, an implicit MR, a multi-frame, an encapsulated JPEG (its bytes are made up: nobody
decodes them here), big endian and deflated ones. No patient, no file of anybody else."""
import pathlib
import struct

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian,
                         ImplicitVRLittleEndian, JPEGBaseline8Bit, MRImageStorage, MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
                         SecondaryCaptureImageStorage)

ROOT = "1.2.826.0.1.3680043.8.498.77"


def _study(number, name, patient_id, modality, description):
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = f"202401{number:02d}", "101500", f"ACC{number}"
    ds.Modality, ds.StudyDescription = modality, description
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = name, patient_id, "19700131", "O"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{number}", f"{ROOT}.{number}.1"
    ds.StudyID, ds.SeriesNumber, ds.SeriesDescription = str(number), 1, f"series of {description}"
    return ds


def _image(ds, sop_class, instance, rows, columns, bits, frames=1):
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"{ds.SeriesInstanceUID}.{instance}"
    ds.InstanceNumber = instance
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = rows, columns, bits, bits, bits - 1, 0
    if frames > 1:
        ds.NumberOfFrames = frames
    size = rows * columns * frames
    values = [(x * 7 + instance * 13) % (1 << bits) for x in range(size)]
    return struct.pack(f"<{size}{'H' if bits == 16 else 'B'}", *values)


def _swapped(pixels):
    return b"".join(pixels[i + 1:i + 2] + pixels[i:i + 1] for i in range(0, len(pixels), 2))


def _write(folder, name, ds, syntax):
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.is_little_endian = syntax != ExplicitVRBigEndian
    ds.is_implicit_VR = syntax == ImplicitVRLittleEndian
    path = pathlib.Path(folder) / name
    pydicom.dcmwrite(path, ds, write_like_original=False)
    return path


def _request(ds):
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = "SPS1", "RP1"
    ds.RequestAttributesSequence = Sequence([item])


def make(folder):
    """{kind: [paths]}"""
    made = {"ct": [], "mr": [], "multi": [], "jpeg": [], "big": [], "deflated": []}
    for i in range(1, 9):
        ds = _study(1, "M\xfcller^J\xf6rg", "PAT1", "CT", "Thorax")
        ds.PixelData = _image(ds, CTImageStorage, i, 64, 64, 16)
        _request(ds)
        made["ct"].append(_write(folder, f"ct{i}.dcm", ds, ExplicitVRLittleEndian))
    for i in range(1, 4):
        ds = _study(2, "Smith^John", "PAT2", "MR", "Knee")
        ds.PixelData = _image(ds, MRImageStorage, i, 32, 32, 16)
        made["mr"].append(_write(folder, f"mr{i}.dcm", ds, ImplicitVRLittleEndian))
    ds = _study(3, "Smithers^Jane", "PAT3", "OT", "Cine")
    ds.PixelData = _image(ds, MultiFrameGrayscaleByteSecondaryCaptureImageStorage, 1, 32, 32, 8, frames=10)
    made["multi"].append(_write(folder, "multi.dcm", ds, ExplicitVRLittleEndian))
    ds = _study(4, "Jpeg^Jim", "PAT4", "OT", "Photograph")
    _image(ds, SecondaryCaptureImageStorage, 1, 16, 16, 8, frames=3)
    frames = [b"\xff\xd8\xff\xe0" + bytes([k]) * (200 + k) + b"\xff\xd9" for k in (1, 2, 3)]
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    ds.LossyImageCompression = "01"
    made["jpeg"].append(_write(folder, "jpeg.dcm", ds, JPEGBaseline8Bit))
    ds = _study(5, "Endian^Big", "PAT5", "CT", "Old format")
    ds.PixelData = _swapped(_image(ds, CTImageStorage, 1, 32, 32, 16))
    ds["PixelData"].VR = "OW"
    made["big"].append(_write(folder, "big.dcm", ds, ExplicitVRBigEndian))
    ds = _study(6, "Flat^Deborah", "PAT6", "CT", "Deflated")
    ds.PixelData = _image(ds, CTImageStorage, 1, 64, 64, 16)
    made["deflated"].append(_write(folder, "deflated.dcm", ds, DeflatedExplicitVRLittleEndian))
    return made


if __name__ == "__main__":
    import sys
    print(make(sys.argv[1]))
