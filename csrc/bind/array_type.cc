#include "bind/array_type.h"

#include <cstring>
#include <mutex>
#include <new>

namespace fastdl {

PyTypeObject* array_type = nullptr;

namespace {

// ---- life and death -------------------------------------------------------------------------------------------------

constexpr int kFreeList = 256;
#if defined(Py_GIL_DISABLED)
thread_local ArrayObject* free_list[kFreeList];
thread_local int free_count = 0;
#else
ArrayObject* free_list[kFreeList];
int free_count = 0;
#endif

void array_dealloc(PyObject* o) {
  auto* self = reinterpret_cast<ArrayObject*>(o);
  self->array.~Array();
  if (free_count < kFreeList) {
    free_list[free_count++] = self;
    return;
  }
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

// ---- attributes -----------------------------------------------------------------------------------------------------

PyObject* array_shape(PyObject* o, void*) {
  return py::detail::type_caster<Dims>::cast(unwrap(o).shape, py::return_value_policy::copy, {}).ptr();
}
PyObject* array_dtype(PyObject* o, void*) {
  return PyUnicode_InternFromString(name(unwrap(o).dtype));
}
PyObject* array_ndim(PyObject* o, void*) {
  return PyLong_FromLong(unwrap(o).ndim());
}
PyObject* array_size(PyObject* o, void*) {
  return PyLong_FromLongLong(unwrap(o).size);
}
PyObject* array_address(PyObject* o, void*) {
  return PyLong_FromVoidPtr(unwrap(o).data);
}

PyGetSetDef attributes[] = {{"shape", array_shape, nullptr, "sizes, a tuple", nullptr},
                            {"dtype", array_dtype, nullptr, "name of the element type", nullptr},
                            {"ndim", array_ndim, nullptr, "number of axes", nullptr},
                            {"size", array_size, nullptr, "number of elements", nullptr},
                            {"address", array_address, nullptr, "where the first element lies", nullptr},
                            {nullptr, nullptr, nullptr, nullptr, nullptr}};

#if defined(FASTDL_DEVICE_CPU)
// The buffer protocol gives numpy.asarray(array) and memoryview(array) without a copy.
int array_getbuffer(PyObject* o, Py_buffer* view, int) {
  constexpr const char* kFormats[kDTypes] = {"f", "d", "i", "q", "B", "?"};
  Array& a = unwrap(o);
  auto* sizes = new Py_ssize_t[2 * kMaxDims];
  Py_ssize_t step = static_cast<Py_ssize_t>(itemsize(a.dtype));
  for (int i = a.ndim() - 1; i >= 0; --i) {
    sizes[i] = a.dim(i);
    sizes[kMaxDims + i] = step;
    step *= a.dim(i);
  }
  *view = Py_buffer{};
  view->buf = a.data;
  view->obj = Py_NewRef(o);
  view->len = static_cast<Py_ssize_t>(a.bytes());
  view->itemsize = static_cast<Py_ssize_t>(itemsize(a.dtype));
  view->format = const_cast<char*>(kFormats[static_cast<int>(a.dtype)]);
  view->ndim = a.ndim();
  view->shape = sizes;
  view->strides = sizes + kMaxDims;
  view->internal = sizes;
  return 0;
}
void array_releasebuffer(PyObject*, Py_buffer* view) {
  delete[] static_cast<Py_ssize_t*>(view->internal);
}
#endif

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(array_dealloc)},
                       {Py_tp_getset, attributes},
#if defined(FASTDL_DEVICE_CPU)
                       {Py_bf_getbuffer, reinterpret_cast<void*>(array_getbuffer)},
                       {Py_bf_releasebuffer, reinterpret_cast<void*>(array_releasebuffer)},
#endif
                       {Py_tp_doc, const_cast<char*>("A contiguous array on one device; fastdl.Tensor wraps it.")},
                       {0, nullptr}};
PyType_Spec spec = {"fastdl.Array", sizeof(ArrayObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

PyObject* wrap(Array&& a) {
  ArrayObject* o;
  if (free_count > 0) {
    o = free_list[--free_count];
    PyObject_Init(reinterpret_cast<PyObject*>(o), array_type);
    Py_DECREF(array_type);  // the object in the free list kept its reference to the type
  } else {
    o = PyObject_New(ArrayObject, array_type);
    if (!o) throw std::bad_alloc();
  }
  new (&o->array) Array(std::move(a));
  return reinterpret_cast<PyObject*>(o);
}

void init_array_type(py::module_& m) {
  array_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!array_type) throw py::error_already_set();
  m.attr("Array") = py::handle(reinterpret_cast<PyObject*>(array_type));
}

}  // namespace fastdl

namespace pybind11::detail {

bool type_caster<fastdl::Dims>::load(handle src, bool) {
  PyObject* o = src.ptr();
  const bool tuple = PyTuple_Check(o);
  if (!tuple && !PyList_Check(o)) return false;
  const Py_ssize_t n = tuple ? PyTuple_GET_SIZE(o) : PyList_GET_SIZE(o);
  if (n > fastdl::kMaxDims)
    throw fastdl::ValueError(fastdl::text("[shape] expected at most ", fastdl::kMaxDims, " dimensions, got ", n));
  value.n = static_cast<int>(n);
  for (int i = 0; i < value.n; ++i) {
    PyObject* item = tuple ? PyTuple_GET_ITEM(o, i) : PyList_GET_ITEM(o, i);
    value.d[i] = PyLong_Check(item) ? PyLong_AsLongLong(item) : PyNumber_AsSsize_t(item, PyExc_OverflowError);
    if (value.d[i] == -1 && PyErr_Occurred()) {
      const bool overflow = PyErr_ExceptionMatches(PyExc_OverflowError);
      PyErr_Clear();
      if (overflow)
        throw fastdl::ValueError("[shape] expected sizes below 2^63, got " + std::string(str(handle(item))));
      return false;
    }
  }
  return true;
}

bool type_caster<fastdl::ArrayList>::load(handle src, bool) {
  if (!PyList_Check(src.ptr()) && !PyTuple_Check(src.ptr())) return false;
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(src.ptr());
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!fastdl::is_array(PySequence_Fast_GET_ITEM(src.ptr(), i))) return false;
  value.sequence = reinterpret_borrow<object>(src);
  return true;
}

bool type_caster<fastdl::DType>::load(handle src, bool) {
  if (!PyUnicode_Check(src.ptr())) return false;
  const char* s = PyUnicode_AsUTF8(src.ptr());
  for (int i = 0; i < fastdl::kDTypes; ++i) {
    if (std::strcmp(s, fastdl::kDTypeNames[i]) == 0) {
      value = static_cast<fastdl::DType>(i);
      return true;
    }
  }
  throw fastdl::TypeError(std::string("[dtype] expected float32, float64, int32, int64, uint8 or bool, got ") + s);
}

}  // namespace pybind11::detail
