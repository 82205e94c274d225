// Registers of threads, which setmaxnreg moves between warpgroups. A block starts with equal parts of the file; who
// asks for more than is free waits for others to give some.
#include <algorithm>

#include "emu/engine.h"
#include "emu/hopper.h"

namespace fastdl::emu {
namespace {

constexpr int kRegisterFile = 65536, kMostRegisters = 255;

int free_registers = 0;
std::vector<Thread*> wanting;  // each wants t->argument

void give_registers() {
  std::erase_if(wanting, [](Thread* t) {
    if (free_registers < t->argument - t->registers) return false;
    free_registers -= t->argument - t->registers;
    t->registers = t->argument;
    t->state = State::kReady;
    if (t != current) make_ready(t);
    return true;
  });
}

}  // namespace

void share_registers() {
  wanting.clear();
  const int each = std::min(kMostRegisters, kRegisterFile / engine.threads) / 8 * 8;
  for (Thread& t : engine.thread) t.registers = each;
  free_registers = kRegisterFile - each * engine.threads;
}

bool report_stuck_registers() {
  if (wanting.empty()) return false;
  current = wanting[0];
  report_at(Kind::kDeadlock, current->wait_pc,
            "waits for " + std::to_string(current->argument) + " registers, but only " +
                std::to_string(free_registers) + " of the register file are free");
  current = nullptr;
  return true;
}

void set_registers(int count, bool more) {
  const void* pc = __builtin_return_address(0);
  InEngine scope;
  Thread* t = current;
  if ((more ? count < t->registers : count > t->registers) && !repeated(Kind::kWarpgroup, pc))
    report_at(Kind::kWarpgroup, pc,
              "changes " + std::to_string(t->registers) + " registers a thread to " + std::to_string(count) +
                  ", the wrong way");
  t->argument = count;
  t->wait_pc = pc;
  t->state = State::kAtRegisters;
  wanting.push_back(t);
  give_registers();
  if (t->state == State::kAtRegisters) suspend();
}

}  // namespace fastdl::emu
