module example.com/elf.test/program

go 1.18
