# Settings of the jobs in this directory, sourced by each of them. Set them in the environment, or edit them here.
: "${RASTER:=dem.tif}" "${CRATERS:=craters.csv}" "${OUT:=stats.parquet}" "${WORK:=work}"
: "${TABLE:=--body moon --units km}" "${REGIONS:=--region floor=0.8 --region rim=1:1.5}" "${STATS:=mean,std,count,median}"
: "${MEMORY:=4GiB}" # for pixels and sums, per process; see README.md in this directory

# xcrater itself runs one thread per core. Libraries that start as many threads again in each of these slow everything down.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# By default, GDAL caches decoded blocks in 5 % of the node's memory, in each process, whatever memory the job was given.
export GDAL_CACHEMAX="${GDAL_CACHEMAX:-256}" # MB
