#include "bind/dlpack.h"

#include <memory>

#include "bind/array_type.h"
#include "bind/call.h"

namespace fastdl {
namespace {

// ---- the DLPack ABI (dmlc/dlpack) -----------------------------------------------------------------------------------
// Version 0: a capsule named "dltensor" with a DLManagedTensor. Version 1: "dltensor_versioned", which begins with its
// version and says whether the memory may be written.

struct DLDevice {
  int32_t type, id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null when contiguous (before version 1.2)
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint32_t kMajor = 1, kMinor = 1;
constexpr uint64_t kReadOnly = 1;
enum : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBoolCode = 6 };
constexpr DLDataType kDLTypes[kDTypes] = {{kFloat, 32, 1}, {kFloat, 64, 1}, {kInt, 32, 1},
                                          {kInt, 64, 1},   {kUInt, 8, 1},   {kBoolCode, 8, 1}};
#if defined(FASTDL_DEVICE_CUDA)
constexpr DLDevice kDevice{2, 0};
#elif defined(FASTDL_DEVICE_EMU)
constexpr DLDevice kDevice{12, 0};  // "an extension's": other libraries refuse it, since they would read it unchecked
#else
constexpr DLDevice kDevice{1, 0};
#endif

// ---- memory that Python owns ----------------------------------------------------------------------------------------

void release_python(Buffer* b) {
  py::gil_scoped_acquire gil;
  Py_DECREF(static_cast<PyObject*>(b->owner));
  delete b;
}
Array borrow(void* data, const Dims& shape, DType dtype, py::object owner) {
  Buffer* b = new Buffer;
  b->data = data;
  b->release = release_python;
  b->owner = owner.release().ptr();
  return Array(b, shape, dtype);
}

// ---- NumPy ----------------------------------------------------------------------------------------------------------

std::string type_name(const py::object& o) {
  return py::str(py::type::of(o).attr("__name__"));
}

DType dtype_of(const Py_buffer& view) {
  const char* f = view.format ? view.format : "B";
  if (*f == '@' || *f == '=' || *f == '<') ++f;
  if (*f != '\0' && f[1] == '\0') {
    switch (*f) {
      case 'f':
        return DType::kFloat32;
      case 'd':
        return DType::kFloat64;
      case '?':
        return DType::kBool;
      case 'B':
        return DType::kUInt8;
      case 'i':
        return DType::kInt32;
      case 'l':
      case 'q':
        return view.itemsize == 8 ? DType::kInt64 : DType::kInt32;
      default:
        break;
    }
  }
  throw TypeError("[from_numpy] expected dtype float32, float64, int32, int64, uint8 or bool, got buffer format " +
                  std::string(view.format ? view.format : "B"));
}

// A C-contiguous buffer as an array. It is shared when the caller allows it and memory does (writable, aligned).
Array from_numpy(const py::object& source, bool share) {
  refuse_recording("from_numpy");
  if (!PyObject_CheckBuffer(source.ptr()))
    throw TypeError("[from_numpy] expected an array for source, got " + type_name(source));
  Py_buffer view;
  if (PyObject_GetBuffer(source.ptr(), &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) throw py::error_already_set();
  std::unique_ptr<Py_buffer, void (*)(Py_buffer*)> guard(&view, PyBuffer_Release);
  const DType dtype = dtype_of(view);
  EXPECT(view.ndim <= kMaxDims, ValueError, "from_numpy", text("at most ", kMaxDims, " dimensions"), text(view.ndim));
  Dims shape;
  shape.n = view.ndim;
  for (int i = 0; i < view.ndim; ++i) shape[i] = view.shape[i];
#if defined(FASTDL_DEVICE_CPU)
  const bool aligned = reinterpret_cast<uintptr_t>(view.buf) % itemsize(dtype) == 0;
  if (share && !view.readonly && aligned) return borrow(view.buf, shape, dtype, source);
#else
  (void)share;
#endif
  Array out = empty(shape, dtype);
#if !defined(FASTDL_DEVICE_CPU)
  const py::gil_scoped_release release;
#endif
  copy_from_host(out.data, view.buf, out.bytes());
  return out;
}

py::object to_numpy(const py::object& array) {
  refuse_recording("to_numpy");
  if (!is_array(array.ptr())) throw TypeError("[to_numpy] expected an array for a, got " + type_name(array));
#if defined(FASTDL_DEVICE_CPU)
  // Looked up once: half of the time of item(). Never freed, as the interpreter may end before statics do.
  static PyObject* const asarray = py::object(py::module_::import("numpy").attr("asarray")).release().ptr();
  return py::handle(asarray)(array);
#else
  const py::module_ numpy = py::module_::import("numpy");
  const Array& a = unwrap(array.ptr());
  py::object out = numpy.attr("empty")(a.shape, name(a.dtype));
  Py_buffer view;
  if (PyObject_GetBuffer(out.ptr(), &view, PyBUF_WRITABLE) != 0) throw py::error_already_set();
  std::unique_ptr<Py_buffer, void (*)(Py_buffer*)> guard(&view, PyBuffer_Release);
  const py::gil_scoped_release release;
  copy_to_host(view.buf, a.data, a.bytes());
  return out;
#endif
}

// ---- DLPack ---------------------------------------------------------------------------------------------------------

template <class Managed>
constexpr const char* kName = "dltensor";
template <>
constexpr const char* kName<DLManagedTensorVersioned> = "dltensor_versioned";

void set_version(DLManagedTensor&) {}
void set_version(DLManagedTensorVersioned& m) {
  m.major = kMajor, m.minor = kMinor;
}

template <class Managed>
py::capsule exported(const Array& a) {
  struct Exported {
    Managed managed{};
    Array array;
    int64_t strides[kMaxDims];
  };
  auto* e = new Exported{{}, a, {}};
  int64_t step = 1;
  for (int i = a.ndim() - 1; i >= 0; --i) {
    e->strides[i] = step;
    step *= a.dim(i);
  }
  set_version(e->managed);
  e->managed.tensor = {a.data, kDevice, a.ndim(), kDLTypes[static_cast<int>(a.dtype)], e->array.shape.d, e->strides, 0};
  e->managed.context = e;
  e->managed.deleter = [](Managed* m) { delete static_cast<Exported*>(m->context); };
  return py::capsule(&e->managed, kName<Managed>, [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, kName<Managed>)) return;  // a consumer took it and renamed it
    auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kName<Managed>));
    m->deleter(m);
  });
}

py::capsule to_dlpack(const Array& a, bool versioned) {
  refuse_recording("to_dlpack");
  return versioned ? exported<DLManagedTensorVersioned>(a) : exported<DLManagedTensor>(a);
}

DType dtype_of(const DLTensor& t) {
  int type = 0;
  while (type < kDTypes && !(t.dtype.code == kDLTypes[type].code && t.dtype.bits == kDLTypes[type].bits)) ++type;
  EXPECT(type < kDTypes && t.dtype.lanes == 1, TypeError, "from_dlpack",
         text("dtype float32, float64, int32, int64, uint8 or bool"),
         text("DLPack type code ", int{t.dtype.code}, " of ", int{t.dtype.bits}, " bits"));
  return static_cast<DType>(type);
}

Dims checked_shape(const DLTensor& t) {
  EXPECT(t.device.type == kDevice.type, ValueError, "from_dlpack", text("device type ", kDevice.type),
         text(t.device.type));
  EXPECT(t.ndim <= kMaxDims, ValueError, "from_dlpack", text("at most ", kMaxDims, " dimensions"), text(t.ndim));
  Dims shape;
  shape.n = t.ndim;
  for (int i = 0; i < t.ndim; ++i) shape[i] = t.shape[i];
  int64_t step = 1;
  for (int i = t.ndim - 1; t.strides && i >= 0; --i) {
    EXPECT(t.shape[i] <= 1 || t.strides[i] == step, ValueError, "from_dlpack", text("contiguous memory"),
           text("stride ", t.strides[i], " on axis ", i));
    step *= t.shape[i];
  }
  return shape;
}

// Takes the capsule: its memory lives as long as the array.
template <class Managed>
Array imported(const py::capsule& capsule, const char* used) {
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), kName<Managed>));
  const DType dtype = dtype_of(m->tensor);
  const Dims shape = checked_shape(m->tensor);
  void* data = static_cast<char*>(m->tensor.data) + m->tensor.byte_offset;
  if (PyCapsule_SetName(capsule.ptr(), used) != 0) throw py::error_already_set();
  py::capsule owner(m, [](void* p) {
    auto* managed = static_cast<Managed*>(p);
    if (managed->deleter) managed->deleter(managed);
  });
  return borrow(data, shape, dtype, std::move(owner));
}

Array from_dlpack(const py::capsule& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), kName<DLManagedTensor>))
    return imported<DLManagedTensor>(capsule, "used_dltensor");
  EXPECT(PyCapsule_IsValid(capsule.ptr(), kName<DLManagedTensorVersioned>), ValueError, "from_dlpack",
         text("an unused DLPack capsule"), text(capsule.name() ? capsule.name() : "one without a name"));
  const auto& m =
      *static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), kName<DLManagedTensorVersioned>));
  EXPECT(m.major == kMajor, ValueError, "from_dlpack", text("DLPack of version ", kMajor), text(m.major, ".", m.minor));
  const bool read_only = m.flags & kReadOnly;
  Array shared = imported<DLManagedTensorVersioned>(capsule, "used_dltensor_versioned");
  if (!read_only) return shared;
  Array copy = empty(shared.shape, shared.dtype);  // every array may be written
  copy_on_device(copy.data, shared.data, copy.bytes());
  return copy;
}

#if !defined(FASTDL_DEVICE_CPU)
Array from_address(uintptr_t address, const Dims& shape, DType dtype, const py::object& owner) {
  return borrow(reinterpret_cast<void*>(address), shape, dtype, owner);
}
#endif

}  // namespace

void bind_exchange(py::module_& m) {
  m.def("from_numpy", &from_numpy);
  m.def("to_numpy", &to_numpy);
  m.def("to_dlpack", &to_dlpack);
  m.def("from_dlpack", &from_dlpack);
#if !defined(FASTDL_DEVICE_CPU)
  m.def("from_address", &from_address);
#endif
  m.def("dlpack_device", [] { return py::make_tuple(kDevice.type, kDevice.id); });
}

}  // namespace fastdl
