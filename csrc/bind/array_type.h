// The Python type of Array, and how pybind11 passes it. A plain C type with a free list instead of a py::class_: making
// and freeing a class_ instance costs more than the rest of a call (300 ns against 65).
#pragma once
#include <pybind11/pybind11.h>

#include "core/error.h"

namespace fastdl {

namespace py = pybind11;

struct ArrayObject {
  PyObject_HEAD Array array;
};
extern PyTypeObject* array_type;

PyObject* wrap(Array&& a);  // a new reference
inline bool is_array(PyObject* o) {
  return Py_TYPE(o) == array_type;
}
inline Array& unwrap(PyObject* o) {
  return reinterpret_cast<ArrayObject*>(o)->array;
}

// The arrays of a Python list or tuple, e.g. parameters of an optimizer step. They stay owned by it.
struct ArrayList {
  py::object sequence;
  Py_ssize_t size() const { return PySequence_Fast_GET_SIZE(sequence.ptr()); }
  Array& operator[](Py_ssize_t i) const { return unwrap(PySequence_Fast_GET_ITEM(sequence.ptr(), i)); }
};

void init_array_type(py::module_& m);

}  // namespace fastdl

namespace pybind11::detail {

// const Array& takes an array; const Array* takes an array or None.
template <>
struct type_caster<fastdl::Array> {
  static constexpr auto name = const_name("Array");
  fastdl::Array* value = nullptr;

  bool load(handle src, bool) {
    if (src.is_none()) return true;
    if (!fastdl::is_array(src.ptr())) return false;
    value = &fastdl::unwrap(src.ptr());
    return true;
  }
  operator fastdl::Array*() { return value; }
  operator fastdl::Array&() {
    if (!value) throw reference_cast_error();
    return *value;
  }
  template <class T>
  using cast_op_type = pybind11::detail::cast_op_type<T>;
  static handle cast(fastdl::Array&& a, return_value_policy, handle) { return fastdl::wrap(std::move(a)); }
  static handle cast(const fastdl::Array& a, return_value_policy, handle) { return fastdl::wrap(fastdl::Array(a)); }
};

// Dims takes a tuple or list of integers.
template <>
struct type_caster<fastdl::Dims> {
  PYBIND11_TYPE_CASTER(fastdl::Dims, const_name("tuple[int, ...]"));
  bool load(handle src, bool);
  static handle cast(const fastdl::Dims& d, return_value_policy, handle) {
    PyObject* t = PyTuple_New(d.n);
    for (int i = 0; i < d.n; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(d[i]));
    return t;
  }
};

template <>
struct type_caster<fastdl::ArrayList> {
  PYBIND11_TYPE_CASTER(fastdl::ArrayList, const_name("Sequence[Array]"));
  bool load(handle src, bool);
};

template <>
struct type_caster<fastdl::DType> {
  PYBIND11_TYPE_CASTER(fastdl::DType, const_name("str"));
  bool load(handle src, bool);
  static handle cast(fastdl::DType t, return_value_policy, handle) {
    return PyUnicode_InternFromString(fastdl::name(t));
  }
};

}  // namespace pybind11::detail
