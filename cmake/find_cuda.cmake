# Finds nvcc: cuda_built says whether, cuda_note with what, or why not.

set(cuda_built 0)
set(cuda_note "switched off (FASTDL_CUDA=OFF)")
if(NOT FASTDL_CUDA STREQUAL OFF)
  include(CheckLanguage)
  check_language(CUDA)
  if(FASTDL_CUDA_ARCHITECTURES STREQUAL all)  # code for every generation; PTX of 10.0 for those between and after them
    set(FASTDL_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90a-real 100 120-real)
  endif()
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES OFF)
    enable_language(CUDA)
    set(CMAKE_CUDA17_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 knows no CUDA standard 20
    set(cuda_built 1)
    set(cuda_note "nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${FASTDL_CUDA_ARCHITECTURES}")
  elseif(FASTDL_CUDA STREQUAL ON)
    message(FATAL_ERROR "FASTDL_CUDA=ON, but no nvcc was found: put it on PATH or set CUDACXX")
  else()
    set(cuda_note "no nvcc was found when fastdl was built")
  endif()
endif()
string(REPLACE ";" "," cuda_note "${cuda_note}")
